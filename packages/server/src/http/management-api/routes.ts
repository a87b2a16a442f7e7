import { parseDevEui } from '@mortise/lorawan'
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Administration } from '../../kms/index.ts'
import { sendProblem, toProblem } from './problems.ts'
import * as schema from './schemas.ts'

/** `/api/v1`: what an operator can do and see. */
export function apiRoutes(administration: Administration): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/status',
      {
        schema: {
          operationId: 'getStatus',
          summary: 'State of server and HSM',
          querystring: schema.noQuery,
          response: { 200: schema.serverStatus, ...schema.problems },
        },
      },
      () => administration.status(),
    )
    app.register(orderRoutes(administration))
    app.register(listRoutes(administration))
    app.register(apiKeyRoutes(administration))
    app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
    done()
  }
}

function orderRoutes(administration: Administration): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/orders',
      {
        schema: {
          operationId: 'submitOrder',
          summary: 'Submit a signed order',
          description: '200 when it has been carried out, 202 when it is stored and waits for the HSM.',
          body: schema.submittedOrder,
          response: { 200: schema.adoptedReport, 202: schema.waitingReport, ...schema.problems },
        },
      },
      async (request, reply) => {
        const { orderId, state } = await administration.submitOrder(request.body)
        if (state === 'waiting') return reply.code(202).send({ orderId, state })
        return reply.code(200).send({ orderId, state })
      },
    )
    app.get(
      '/orders',
      {
        schema: {
          operationId: 'listOrders',
          summary: 'Orders that wait, or were refused',
          querystring: schema.orderQuery,
          response: { 200: schema.orderList, ...schema.problems },
        },
      },
      async ({ query: { state, limit } }) => ({ orders: await administration.listOrders(state, limit) }),
    )
    done()
  }
}

function listRoutes(administration: Administration): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/peers',
      {
        schema: {
          operationId: 'listPeers',
          summary: 'Network servers and application servers',
          querystring: schema.noQuery,
          response: { 200: schema.peerList, ...schema.problems },
        },
      },
      async () => ({ peers: await administration.listPeers() }),
    )
    app.get(
      '/certificates',
      {
        schema: {
          operationId: 'listCertificates',
          summary: 'Certificates of the server, of its CA and of peers',
          querystring: schema.noQuery,
          response: { 200: schema.certificateList, ...schema.problems },
        },
      },
      async () => ({ certificates: await administration.listCertificates() }),
    )
    app.get(
      '/agreements',
      {
        schema: {
          operationId: 'listAgreements',
          summary: 'Which network servers may learn the home of which devices',
          querystring: schema.noQuery,
          response: { 200: schema.agreementList, ...schema.problems },
        },
      },
      async () => ({ agreements: await administration.listAgreements() }),
    )
    app.get(
      '/routes',
      {
        schema: {
          operationId: 'listRoutes',
          summary: 'Join servers to which requests of other JoinEUIs go',
          querystring: schema.noQuery,
          response: { 200: schema.routeList, ...schema.problems },
        },
      },
      async () => ({ routes: await administration.listRoutes() }),
    )
    app.get(
      '/keks',
      {
        schema: {
          operationId: 'listKeks',
          summary: 'Key-encryption keys, without the keys',
          querystring: schema.noQuery,
          response: { 200: schema.kekList, ...schema.problems },
        },
      },
      async () => ({ keks: await administration.listKeks() }),
    )
    app.get(
      '/devices',
      {
        schema: {
          operationId: 'listDevices',
          summary: 'Devices in order of DevEUI, a page at a time',
          querystring: schema.deviceQuery,
          response: { 200: schema.devicePage, ...schema.problems },
        },
      },
      ({ query }) => administration.listDevices(query),
    )
    app.get(
      '/devices/:devEui',
      {
        schema: {
          operationId: 'findDevices',
          summary: 'Devices with a DevEUI; none is an empty list',
          params: schema.deviceParams,
          querystring: schema.noQuery,
          response: { 200: schema.deviceList, ...schema.problems },
        },
      },
      async ({ params }) => ({ devices: await administration.findDevices(parseDevEui(params.devEui)) }),
    )
    done()
  }
}

function apiKeyRoutes(administration: Administration): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/api-keys',
      {
        schema: {
          operationId: 'listApiKeys',
          summary: 'API keys, without their tokens',
          querystring: schema.noQuery,
          response: { 200: schema.apiKeyList, ...schema.problems },
        },
      },
      async () => ({ apiKeys: await administration.listApiKeys() }),
    )
    app.post(
      '/api-keys',
      {
        schema: {
          operationId: 'createApiKey',
          summary: 'Make an API key; its token is shown this once',
          body: schema.newApiKey,
          response: { 201: schema.createdApiKey, ...schema.problems },
        },
      },
      async (request, reply) => reply.code(201).send(await administration.createApiKey(request.body.name)),
    )
    app.delete(
      '/api-keys/:apiKeyId',
      {
        schema: {
          operationId: 'revokeApiKey',
          summary: 'Revoke an API key',
          params: schema.apiKeyParams,
          response: { 204: z.undefined().describe('Revoked'), ...schema.problems },
        },
      },
      async ({ params }, reply) => {
        if (await administration.revokeApiKey(params.apiKeyId)) return reply.code(204).send()
        return sendProblem(reply, toProblem('api_key_unknown'))
      },
    )
    done()
  }
}
