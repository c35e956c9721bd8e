# The page of `spnet app` over an index in the folder it is started in (docs/install.md):
#   docker build -t spnet .
#   docker build -t spnet --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 --build-arg TORCH=cu128 .
ARG BASE=debian:trixie-slim
FROM ${BASE}
# PyTorch's build, as uv names it: cpu, or the CUDA of the base
ARG TORCH=cpu
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/spnet \
    && /opt/spnet/bin/pip install --no-cache-dir uv \
    && /opt/spnet/bin/uv pip install --no-cache --python /opt/spnet --torch-backend ${TORCH} torch torchvision
COPY pyproject.toml README.md LICENSE /opt/source/
COPY src /opt/source/src
RUN /opt/spnet/bin/pip install --no-cache-dir '/opt/source[app,search,video]'
# caches, where the user that `docker run --user` names has no home
ENV PATH=/opt/spnet/bin:${PATH} HOME=/tmp
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["spnet"]
# on 127.0.0.1: reached with `docker run --network host`
CMD ["app", "people.index"]
