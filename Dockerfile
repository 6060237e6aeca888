# syntax=docker/dockerfile:1
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The sources are not here yet, so npm must not run the prepare script.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY schemas schemas
COPY plugins plugins
COPY src src
COPY scripts/bundle.mjs scripts/
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="bing-gateway" \
      org.opencontainers.image.description="Self-hosted HTTP API for your own Microsoft account: chat with Bing, images and videos" \
      org.opencontainers.image.source="https://github.com/bing-gateway/bing-gateway" \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=7860 \
    DATA_DIR=/data
WORKDIR /app
# Numbers, so that an orchestrator can check that this is not root.
RUN mkdir -p /data && chown 10001:10001 /data
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY --from=build /app/dist dist
USER 10001:10001
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 7860}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and stops on SIGTERM by itself. `docker run --init` (tini) also reaps orphans; there are none here.
CMD ["node", "dist/bin/bing-gateway.js", "serve"]
