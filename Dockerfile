# One image for api, worker and migrate.
FROM node:22-slim AS console
WORKDIR /src/console
COPY console/package.json console/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY console ./
RUN npm run build

FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE CHANGELOG.md ./
COPY core core
COPY store store
COPY workflows workflows
COPY activities activities
COPY api api
COPY sdk sdk
COPY cli cli
COPY console/wheel.py console/wheel.py
COPY --from=console /src/console/dist console/dist
# The locked versions first, then Redrive itself as a wheel: the image holds no sources and no build tools.
RUN uv export --locked --extra server --no-dev --no-emit-project --quiet -o /requirements.txt \
    && uv venv /opt/redrive \
    && uv pip install --python /opt/redrive/bin/python --no-cache --require-hashes -r /requirements.txt \
    && uv build --wheel --quiet -o /dist \
    && uv pip install --python /opt/redrive/bin/python --no-cache --no-deps /dist/*.whl

FROM python:3.13-slim
RUN useradd --system --no-create-home redrive
COPY --from=build /opt/redrive /opt/redrive
ENV PATH=/opt/redrive/bin:$PATH REDRIVE_LOG_FORMAT=json
USER redrive
EXPOSE 8600
ENTRYPOINT ["redrive"]
CMD ["api", "--host", "0.0.0.0"]
