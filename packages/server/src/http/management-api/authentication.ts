import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiKeys } from '../../identity/index.ts'
import { FailedAttempts } from './failed-attempts.ts'
import { sendProblem, toProblem } from './problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers without an API key. Every other path asks for one, also those that do not exist. */
    readonly public?: boolean
  }
}

const BEARER = /^Bearer +([^ ]+)$/i

/** A hook that lets a request on only with the token of an API key. */
export function requireApiKey(apiKeys: Pick<ApiKeys, 'authenticate'>) {
  const failed = new FailedAttempts()
  return async function onRequest(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    // An answer may have a token in it.
    reply.header('Cache-Control', 'no-store')
    if (request.routeOptions.config.public === true) return undefined
    // Before the count of failures, so that nobody locks out the holder of a key who shares his address.
    const token = BEARER.exec(request.headers.authorization ?? '')?.[1]
    if (token !== undefined && apiKeys.authenticate(token) !== undefined) return undefined
    const blockedSeconds = failed.blockedSeconds(request.ip, performance.now())
    if (blockedSeconds > 0) {
      reply.header('Retry-After', blockedSeconds)
      return sendProblem(reply, toProblem('too_many_attempts'))
    }
    failed.add(request.ip, performance.now())
    reply.header('WWW-Authenticate', 'Bearer')
    return sendProblem(reply, toProblem('unauthenticated'))
  }
}
