#!/bin/sh
# Not run by its authors, who have no kind: a laptop with Docker and the internet -> a cluster for the profile `local`.
#
# Wants kind 0.33, kubectl 1.32 or later, openssl, `make install` done, and 4 cores, 16 GB of memory and 40 GB of disk for
# Docker. May be run again: what is there stays. It uses the context kind-gift only, and ends with the commands to run.
# Undo: kind delete cluster --name gift; docker rm --force gift-registry

set -eu
cd "$(dirname "$0")/.."

KFP=2.17.0
REGISTRY=localhost:5001
GIFT=${GIFT:-../.venv/bin/gift}
BUILT=../images/built/gift/image.json
KFP_MANIFESTS=github.com/kubeflow/pipelines/manifests/kustomize

for tool in docker kind kubectl openssl "$GIFT"; do
    command -v "$tool" >/dev/null || { echo "error: $tool is not there" >&2; exit 1; }
done
k() { kubectl --context kind-gift "$@"; }

echo "== a registry, because containerd knows a loaded image by no digest"
docker inspect gift-registry >/dev/null 2>&1 ||
    docker run --detach --restart always --publish "127.0.0.1:${REGISTRY#*:}:5000" --name gift-registry registry:3.0.0

echo "== the cluster"
kind get clusters | grep --quiet --line-regexp gift || kind create cluster --name gift --config kind/cluster.yaml
for node in $(kind get nodes --name gift); do
    docker exec "$node" mkdir -p "/etc/containerd/certs.d/$REGISTRY"
    echo '[host."http://gift-registry:5000"]' |
        docker exec --interactive "$node" cp /dev/stdin "/etc/containerd/certs.d/$REGISTRY/hosts.toml"
done
docker network connect kind gift-registry 2>/dev/null || true # it is there already

echo "== the images"
"$GIFT" images build --cpu --push "$REGISTRY"
IMAGE=$(sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' "$BUILT")
: "${IMAGE:?$BUILT names no pushed image}"
docker pull --quiet postgres:17
POSTGRES=$(docker inspect --format '{{index .RepoDigests 0}}' postgres:17)

echo "== Kubeflow Pipelines $KFP without users"
k apply --kustomize "$KFP_MANIFESTS/cluster-scoped-resources?ref=$KFP"
k wait crd/applications.app.k8s.io --for condition=established --timeout 60s
k apply --kustomize "$KFP_MANIFESTS/env/platform-agnostic?ref=$KFP"
k rollout status deployment/ml-pipeline --namespace kubeflow --timeout 20m

echo "== Secrets"
k get namespace gift >/dev/null 2>&1 || k create namespace gift
if ! k get secret gift-s3 --namespace kubeflow >/dev/null 2>&1; then
    umask 077
    secrets=$(mktemp -d)
    trap 'rm -r "$secrets"' EXIT
    {
        echo "AWS_ACCESS_KEY_ID=$(openssl rand -hex 16)"
        echo "AWS_SECRET_ACCESS_KEY=$(openssl rand -hex 32)"
        echo AWS_ENDPOINT_URL_S3=http://seaweedfs.gift.svc:8333
    } >"$secrets/gift-s3"
    echo MLFLOW_TRACKING_URI=http://mlflow.gift.svc:5000 >"$secrets/gift-mlflow"
    echo "PGPASSWORD=$(openssl rand -hex 32)" >"$secrets/gift-postgres"
    for pair in gift/gift-postgres gift/gift-mlflow gift/gift-s3 kubeflow/gift-mlflow kubeflow/gift-s3; do
        k delete secret "${pair#*/}" --namespace "${pair%/*}" --ignore-not-found # of a run that was interrupted here
        k create secret generic "${pair#*/}" --namespace "${pair%/*}" --from-env-file "$secrets/${pair#*/}"
    done
fi

echo "== the overlay local"
k delete job create-bucket --namespace gift --ignore-not-found # a Job can't be changed
kubectl kustomize overlays/local |
    sed "s|registry.example.com/gift@sha256:0\{64\}|$IMAGE|; s|postgres@sha256:0\{64\}|$POSTGRES|" |
    k apply --filename -
k rollout status statefulset/postgres statefulset/seaweedfs deployment/mlflow --namespace gift --timeout 20m
k wait job/create-bucket --for condition=Complete --namespace gift --timeout 10m

cat <<EOF

The cluster is there. In one shell
    kubectl --context kind-gift port-forward --namespace kubeflow service/ml-pipeline 8888
and in another
    export KF_PIPELINES_ENDPOINT=http://localhost:8888
    gift doctor --profile local --image $IMAGE
    gift run --runner cluster --profile local --image $IMAGE
EOF
