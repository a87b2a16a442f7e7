import { randomBytes } from 'node:crypto'
import { AnswerError, type AppSKeyAns, createClient } from '@mortise/backend-interfaces'
import type { BridgeConfig } from '@mortise/bridge'
import { parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { isWrong, ok, skipped, wrong } from '../kit/check.ts'
import { checkNetwork, endpointOf, type Origin } from '../kit/check-network.ts'
import type { BridgeCheck } from './checks.ts'

const ANSWER_TIMEOUT_MS = 5000
const OPERATOR: Origin = {
  address: 'what its operator has told you',
  ca: 'that of joinServer.caFile',
  caFile: 'the ca.pem that `mortise peer add` wrote beside the request',
}
const ASK = 'ask the operator of the join server; its log has the reason.'

/**
 * Asks for the AppSKey of a session that nobody has. A join server that knows the sender refuses the device, or its
 * JoinEUI; one that does not says so first.
 */
export async function checkJoinServer({ joinServer }: BridgeConfig): Promise<BridgeCheck[]> {
  if (joinServer === undefined)
    return [skipped('join-server', 'joinServer is not there: keys come with the events of the network, or not at all')]
  const { service, asId, protocolVersion } = joinServer
  const { url, ca, cert, key, token } = service
  await using client = createClient({
    ...{ url, ca, cert, key, timeoutMs: ANSWER_TIMEOUT_MS },
    ...(token !== undefined && { authorization: { kind: 'bearer', token: token.toString('latin1') } }),
  })
  try {
    const answer = await client.appSKeyReq({
      ...{ protocolVersion, senderId: asId, sessionKeyId: randomBytes(16) },
      receiverId: parseJoinEui(randomBytes(8).toString('hex')),
      devEui: parseDevEui(randomBytes(8).toString('hex')),
    })
    return [judge(answer, asId)]
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error
    return [await explain(error, service)]
  }
}

function judge(answer: AppSKeyAns, asId: string): BridgeCheck {
  if (answer.resultCode === 'Success')
    return wrong('join-server', 'it gives a key for a session that nobody has.', 'this is no join server to trust.')
  const { resultCode, description = '' } = answer
  const said = description === '' ? resultCode : `${resultCode}, "${description}"`
  switch (resultCode) {
    case 'UnknownSender':
      return wrong(
        'join-server',
        `it does not know this certificate as that of the AS ${asId} (${said}).`,
        `at the join server: mortise peer add as --as-id ${asId} --csr as.csr; or mend joinServer.asId.`,
      )
    case 'InvalidProtocolVersion':
      return wrong('join-server', `it serves another protocol version (${said}).`, 'write the other one, 1.0 or 1.1.')
    case 'UnkownReceiver':
    case 'UnknownDevEUI':
      return ok('join-server', `it knows the AS ${asId}, and refuses a session that nobody has (${resultCode})`)
    default:
      return wrong('join-server', `it refuses with ${said}.`, ASK)
  }
}

/** Where there was no answer, the steps to it say more. */
async function explain(
  error: AnswerError,
  { url, ca, cert, key }: NonNullable<BridgeConfig['joinServer']>['service'],
): Promise<BridgeCheck> {
  if (cert !== undefined && key !== undefined) {
    const credentials = { ca: ca.toString(), cert: cert.toString(), key: key.toString() }
    const steps = await checkNetwork(endpointOf(url), credentials, Date.now(), OPERATOR)
    const failed = steps.find(isWrong)
    if (failed !== undefined) return wrong('join-server', failed.detail, failed.remedy ?? ASK)
  }
  return wrong('join-server', `${new URL(url).host}: ${error.message}`, ASK)
}
