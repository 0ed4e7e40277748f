# Detente with everything that a cluster needs. Build: docker compose build
FROM python:3.13.7-slim-bookworm AS build

WORKDIR /src
# Locked and hashed: what is built today is built tomorrow.
COPY requirements/run.txt requirements/cluster.txt requirements/
RUN python -m venv /opt/detente \
    && /opt/detente/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements/cluster.txt

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY rules rules
COPY notifiers notifiers
COPY streams streams
COPY detente detente

FROM python:3.13.7-slim-bookworm

# Nobody special: no shell, no home that matters, no right to change the program.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin detente \
    && install --directory --owner=detente /srv/detente

COPY --from=build /opt/detente /opt/detente
# The packages lie beside their samples, as in the repository, and are found by their names.
COPY --from=build /src /opt/detente/app
COPY examples /opt/detente/app/examples

ENV PATH=/opt/detente/bin:$PATH \
    PYTHONPATH=/opt/detente/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

USER detente
WORKDIR /srv/detente
# SIGTERM ends every process in an orderly way, within ten seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "detente"]
CMD ["--help"]
