import { readFileSync } from 'node:fs'

/** What a listener allows. Every number bounds descriptors, memory or time; times are in milliseconds. */
export interface ConnectionLimits {
  /** Open connections in whatever state: one descriptor each. */
  readonly connections: number
  /** Handshakes under way, shared out among the networks that they come from; twice as many at the very most. */
  readonly handshakes: number
  readonly handshakeTimeoutMs: number
  /** From the first byte of a request, or the handshake, to the end of its headers. */
  readonly headersTimeoutMs: number
  /** From the first byte of a request to its last. */
  readonly requestTimeoutMs: number
  /** How long a request and its answer may make no progress: the use-case is slow, or the peer does not read. */
  readonly answerTimeoutMs: number
  /** How long a connection that served one request, or none, may wait for the next. */
  readonly firstIdleMs: number
  /** How long one that was used again may wait. */
  readonly reusedIdleMs: number
  /** How long a listener that closes waits for what is in flight. */
  readonly drainTimeoutMs: number
}

export interface BackendInterfacesLimits extends ConnectionLimits {
  /** Connections that are not a peer's; the oldest is closed for the next. */
  readonly strangers: number
}

/**
 * The Things Stack opens a connection for every request and leaves it idle for about 90 s, ChirpStack keeps one and uses
 * it again: so one that was used once goes soon, one that was used again stays. A network server waits five seconds for
 * an answer (ChirpStack) or ten (The Things Stack), so that a slower handshake serves nobody; at some hundred a second
 * and processor, what is under way beyond 512 would wait for a second and more. 20,000 connections may be idle.
 */
export const BACKEND_INTERFACES_LIMITS: BackendInterfacesLimits = {
  connections: 20_480,
  handshakes: 512,
  handshakeTimeoutMs: 5000,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  answerTimeoutMs: 20_000,
  firstIdleMs: 5000,
  reusedIdleMs: 60_000,
  drainTimeoutMs: 8000,
  strangers: 256,
}

/** Commands and scripts: few connections, large orders, answers that may wait for the HSM. */
export const MANAGEMENT_API_LIMITS: ConnectionLimits = {
  connections: 1024,
  handshakes: 128,
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  answerTimeoutMs: 120_000,
  firstIdleMs: 15_000,
  reusedIdleMs: 60_000,
  drainTimeoutMs: 8000,
}

/** How many messages may be in flight, and how soon an answer has to leave. */
export interface AdmissionLimits {
  /** Before anything is known of how fast they are answered. */
  readonly messages: number
  /** However fast or slow they are answered; twice as many at the very most, when many peers have their share each. */
  readonly mostMessages: number
  readonly leastMessages: number
  readonly answerWithinMs: number
}

/**
 * The DevNonce of an answer that comes after its network server has given up is lost: so nobody should wait for much more
 * than a second. 512 are answered within five seconds by the slowest token that is of any use.
 */
export const ADMISSION_LIMITS: AdmissionLimits = {
  messages: 512,
  mostMessages: 2048,
  leastMessages: 64,
  answerWithinMs: 1000,
}

export interface ServerLimits {
  readonly backendInterfaces: BackendInterfacesLimits
  readonly managementApi: ConnectionLimits
  readonly admission: AdmissionLimits
  /** For people: what is lower than wanted, and why; undefined when nothing is. */
  readonly lowered: string | undefined
}

/** Database, sockets of the HSM process, pipes, and what Node itself opens. */
const OTHER_DESCRIPTORS = 256

/** The limits in a process that may open so many descriptors. */
export function serverLimits(descriptors: number = allowedDescriptors()): ServerLimits {
  const reserve = Math.min(OTHER_DESCRIPTORS, Math.floor(descriptors / 4))
  const api = Math.min(MANAGEMENT_API_LIMITS.connections, Math.floor(descriptors / 10))
  const bi = Math.min(BACKEND_INTERFACES_LIMITS.connections, descriptors - reserve - api)
  return {
    backendInterfaces: backendInterfacesWithin(bi),
    managementApi: { ...MANAGEMENT_API_LIMITS, ...connectionsWithin(MANAGEMENT_API_LIMITS, api) },
    admission: admissionWithin(bi),
    lowered:
      bi < BACKEND_INTERFACES_LIMITS.connections
        ? `at most ${bi} Backend Interfaces connections instead of ${BACKEND_INTERFACES_LIMITS.connections}, because ` +
          `this process may open only ${descriptors} files; raise that with LimitNOFILE= or ulimit -n`
        : undefined,
  }
}

/**
 * What makes no room for others has its part of the connections, whoever floods: handshakes a quarter, messages that wait
 * for their answers a half. Both may reach twice their places (fair-share.ts).
 */
const HANDSHAKES_PART = 1 / 8
const MESSAGES_PART = 1 / 4
/** These make room, but are a quarter at most, so that peers seldom have to. */
const STRANGERS_PART = 1 / 4

function connectionsWithin(limits: ConnectionLimits, connections: number) {
  return { connections, handshakes: atMost(limits.handshakes, connections * HANDSHAKES_PART) }
}

function backendInterfacesWithin(connections: number): BackendInterfacesLimits {
  const strangers = atMost(BACKEND_INTERFACES_LIMITS.strangers, connections * STRANGERS_PART)
  return { ...BACKEND_INTERFACES_LIMITS, ...connectionsWithin(BACKEND_INTERFACES_LIMITS, connections), strangers }
}

function admissionWithin(connections: number): AdmissionLimits {
  const part = connections * MESSAGES_PART
  const { messages, mostMessages, leastMessages } = ADMISSION_LIMITS
  return {
    ...ADMISSION_LIMITS,
    messages: atMost(messages, part),
    mostMessages: atMost(mostMessages, part),
    leastMessages: atMost(leastMessages, part),
  }
}

/** The wanted limit, or what is there of it; one in any case, for none would refuse everybody. */
function atMost(wanted: number, available: number): number {
  return Math.max(1, Math.min(wanted, Math.floor(available)))
}

/** The soft limit, which Node raises to the hard one when it starts; without bound where /proc does not tell. */
function allowedDescriptors(): number {
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? Infinity : Number(soft)
  } catch {
    return Infinity
  }
}
