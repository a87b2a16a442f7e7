import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import type { MetricsSource } from '../metrics.ts'
import * as schema from './schemas.ts'

export interface Readiness {
  readonly ready: boolean
  /** Why not; without secrets, for everybody can read them. */
  readonly reasons: string[]
}

/** For those who watch the server: the first two answer without an API key. */
export function healthRoutes(readiness: () => Readiness, metrics: MetricsSource): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/livez',
      {
        config: { public: true },
        schema: {
          operationId: 'getLiveness',
          summary: 'The process answers',
          security: [],
          response: { 200: schema.liveness },
        },
      },
      () => ({ live: true as const }),
    )
    app.get(
      '/readyz',
      {
        config: { public: true },
        schema: {
          operationId: 'getReadiness',
          summary: 'Joins are answered: 200; not yet, or not now: 503',
          security: [],
          response: { 200: schema.readinessReport, 503: schema.readinessReport },
        },
      },
      (_request, reply) => {
        const report = readiness()
        if (report.ready) reply.code(200).send(report)
        else reply.code(503).send(report)
      },
    )
    app.get(
      '/metrics',
      {
        schema: {
          operationId: 'getMetrics',
          summary: 'Counters in the Prometheus text format',
          response: { 200: schema.metricsText, ...schema.problems },
        },
      },
      (_request, reply) => {
        reply.type(schema.METRICS_MEDIA_TYPE).send(metrics.render())
      },
    )
    done()
  }
}
