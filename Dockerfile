# The product as one image for every process: web (the default), `python manage.py engine`, `python manage.py migrate`.
# Runs as a user without rights on a read-only root file system; only /var/lib/drsorch is written to.
# By digest, of all architectures: docker buildx imagetools inspect python:3.11-slim-bookworm tells the newest.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1

FROM base AS build
COPY requirements/product.txt /tmp/product.txt
RUN python -m venv /opt/venv \
    && pip install --no-cache-dir --no-compile --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
        --requirement /tmp/product.txt \
    && pip uninstall --yes --quiet pip setuptools
# Of AWS's services botocore describes hundreds; of Django's texts the console shows English ones.
# Compiled here, because nobody can write beside the code of a container; unchecked, because nothing in an image changes.
WORKDIR /opt/venv/lib/python3.11/site-packages
RUN find botocore/data -mindepth 1 -maxdepth 1 -type d -regextype posix-extended \
        ! -regex '.*/(drs|sts|ec2|iam|events|service-quotas|s3|sns|sesv2|sqs|sso|sso-oidc|signin)' -exec rm -r {} + \
    && find django -type d -path '*/locale/*' -prune ! -name en -exec rm -r {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib
WORKDIR /app
COPY . .
# The key only lets the settings load while files are collected; nothing of it stays in the image.
RUN DJANGO_SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(50))') \
        python manage.py collectstatic --noinput \
    && rm -r var \
    && python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /app

# pg_dump, pg_restore and psql for `manage.py backup` and `restore`, of the same version as the database, without the
# Perl that Debian's package puts around them.
FROM base AS tools
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client-15=15.*

FROM base
LABEL org.opencontainers.image.title="DRS Orchestration" \
      org.opencontainers.image.description="Protection groups, recovery plans and their runs on AWS Elastic Disaster Recovery"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpq5=15.* libreadline8=8.* \
    && rm -rf /var/lib/apt/lists/*
COPY --from=tools /usr/lib/postgresql/15/bin/pg_dump /usr/lib/postgresql/15/bin/pg_restore /usr/lib/postgresql/15/bin/psql /usr/local/bin/
RUN useradd --uid 10001 --user-group --no-log-init --home-dir /var/lib/drsorch --shell /usr/sbin/nologin drsorch \
    && install --directory --owner drsorch --group drsorch --mode 0750 /var/lib/drsorch
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# The authorities of RDS, for sslmode=verify-full. A build that stops here says that AWS has changed them: look, and change the sum.
ADD --checksum=sha256:e5bb2084ccf45087bda1c9bffdea0eb15ee67f0b91646106e466714f9de3c7e3 --chmod=0444 \
    https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/certs/rds-global-bundle.pem
WORKDIR /app
ENV DRSORCH_CACHE_DIR=/var/lib/drsorch/cache \
    HOME=/var/lib/drsorch \
    LOG_FORMAT=json \
    TMPDIR=/var/lib/drsorch
VOLUME ["/var/lib/drsorch"]
USER 10001:10001
EXPOSE 8000
# For the web process. An engine is asked with `python manage.py engine --check`: see deploy/compose.yaml.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "--config", "deploy/gunicorn.conf.py", "drsorch_site.wsgi"]
