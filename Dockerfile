# livecache as a sidecar. Redis is another container: see docs/compose.yaml.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/livecache
ENV PATH=/opt/livecache/bin:$PATH
COPY pyproject.toml README.md LICENSE ./
COPY livecache ./livecache
# With --build-arg EXTRAS=service,history,yahoo it also keeps years of candles, and asks Yahoo.
ARG EXTRAS=service
RUN pip install --no-cache-dir ".[$EXTRAS]"

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /config --shell /usr/sbin/nologin livecache \
    && install -d -o livecache -g livecache /history
COPY --from=build /opt/livecache /opt/livecache
# An optional config.toml is mounted at /config/config.toml. A volume for years of candles, at /history.
WORKDIR /config
USER 10001:10001
# A container's disk ends with the container: the embedded server is refused, a Redis has to be given.
ENV PATH=/opt/livecache/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LIVECACHE_EMBEDDED=refuse \
    LIVECACHE_REDIS_URL=redis://redis:6379/0 \
    LIVECACHE_LOG_FORMAT=json
STOPSIGNAL SIGTERM
# /healthz, /startupz, /readyz and /metrics, where LIVECACHE_HTTP_LISTEN=0.0.0.0:8787 lets others come.
EXPOSE 8787
# Healthy once every series has been ready; from then on, while the service and Redis live. An outage of the
# venue is shown by `livecache ready`, and is no reason to restart a cache that still serves. Each check starts a
# process, 0.2 s of CPU: often while it warms up, seldom afterwards.
HEALTHCHECK --interval=30s --start-interval=3s --timeout=5s --start-period=180s --retries=3 \
    CMD ["livecache", "ready", "--health"]
ENTRYPOINT ["livecache"]
CMD ["run"]
