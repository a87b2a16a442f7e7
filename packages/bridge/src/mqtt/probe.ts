import { connect, type MqttClient } from 'mqtt'
import type { MqttAddress } from '../config.ts'
import { brokerOptions, VERSION_REFUSED } from './broker-address.ts'

/**
 * - `refused`: the broker does not let this user, or this certificate, in.
 * - `subscription`: it does, but does not grant the topic with the QoS that is needed.
 * - `version`: it speaks neither MQTT 5 nor 3.1.1.
 * - `unreachable`: no MQTT came back: name, port, TLS, or another program; see `detail`.
 */
export interface BrokerProblem {
  readonly kind: 'refused' | 'subscription' | 'version' | 'unreachable'
  /** For an operator; no secret. */
  readonly detail: string
}

/** What the bridge would subscribe to. */
export interface ProbedSubscription {
  readonly topic: string
  /** Whether a broker will do that grants QoS 0 only. */
  readonly atMostOnceWillDo: boolean
}

const TIMEOUT_MS = 5000

/**
 * Connects as the bridge would, subscribes where there is a topic, and leaves again. It has a name of its own at the
 * broker and leaves no session there, so that a bridge that runs is not disturbed. Undefined when all is well.
 * @throws {BridgeError} `config_invalid`
 */
export async function probeBroker(
  address: MqttAddress,
  subscription?: ProbedSubscription,
): Promise<BrokerProblem | undefined> {
  const newest = await attempt(address, subscription, 5)
  if (newest?.kind !== 'version') return newest
  return await attempt(address, subscription, 4)
}

async function attempt(
  address: MqttAddress,
  subscription: ProbedSubscription | undefined,
  version: 4 | 5,
): Promise<BrokerProblem | undefined> {
  const client = connect({
    ...brokerOptions({ ...address, clientId: `${address.clientId}-check` }),
    protocolVersion: version,
    clean: true,
    reconnectPeriod: 0,
    connectTimeout: TIMEOUT_MS,
    manualConnect: true,
    resubscribe: false,
    // The library's own log holds packets, and with them the password.
    log: () => undefined,
  })
  try {
    return await outcomeOf(client, subscription)
  } finally {
    client.end(true)
  }
}

function outcomeOf(client: MqttClient, subscription?: ProbedSubscription): Promise<BrokerProblem | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve({ kind: 'unreachable', detail: `no answer within ${TIMEOUT_MS / 1000} s` })
    }, TIMEOUT_MS)
    client.once('close', () => {
      clearTimeout(timer)
      resolve({ kind: 'unreachable', detail: 'the connection was closed before an answer came' })
    })
    client.on('error', (error: Error & { readonly code?: unknown }) => {
      resolve(problemOf(error))
    })
    client.on('connect', () => {
      if (subscription === undefined) {
        resolve(undefined)
        return
      }
      const { topic, atMostOnceWillDo } = subscription
      client.subscribe(topic, { qos: 1 }, (error, granted) => {
        const willDo = (qos: number): boolean => qos === 1 || (qos === 0 && atMostOnceWillDo)
        const isGranted = !error && granted?.every(({ qos }) => willDo(qos)) === true
        resolve(isGranted ? undefined : { kind: 'subscription', detail: 'the broker does not grant it with QoS 1' })
      })
    })
    client.connect()
  })
}

/** The library gives the broker's reason as a number, and that of the operating system, or of TLS, as text. */
function problemOf(error: Error & { readonly code?: unknown }): BrokerProblem {
  const { code, message } = error
  if (VERSION_REFUSED.has(code)) return { kind: 'version', detail: message }
  if (typeof code === 'number') return { kind: 'refused', detail: message }
  const reasons = error instanceof AggregateError ? error.errors.map(String) : [message]
  return {
    kind: 'unreachable',
    detail: typeof code === 'string' && !message.includes(code) ? code : reasons.join('; '),
  }
}
