FROM python:3.11-slim AS builder
WORKDIR /build
COPY requirements.lock requirements-dev.lock ./
# The tools of the build are locked, too: uv here, hatchling below.
RUN awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements-dev.lock > uv.lock \
    && python -m pip install --quiet --no-cache-dir --no-deps --require-hashes -r uv.lock \
    && uv venv --quiet /opt/tenantry \
    && uv pip sync --quiet --no-cache --require-hashes --compile-bytecode --python /opt/tenantry/bin/python requirements.lock
COPY pyproject.toml README.md ./
COPY features features
COPY migrations migrations
COPY platform platform
RUN uv build --quiet --no-cache --wheel --build-constraints requirements-dev.lock --require-hashes --out-dir dist \
    && uv pip install --quiet --no-cache --no-deps --compile-bytecode --python /opt/tenantry/bin/python dist/*.whl


FROM python:3.11-slim
LABEL org.opencontainers.image.title="Tenantry" \
      org.opencontainers.image.description="The multi-tenant backend a team starts from and stays on." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --quiet --yes pip setuptools wheel
COPY --from=builder /opt/tenantry /opt/tenantry
ENV PATH=/opt/tenantry/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TENANTRY_ENV=production \
    TENANTRY_HOST=0.0.0.0
WORKDIR /home/tenantry
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"TENANTRY_PORT\", 8000)}/health/live', timeout=2)"]
ENTRYPOINT ["tenantry"]
CMD ["run"]
