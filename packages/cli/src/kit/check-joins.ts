import type { FailureAns } from '@mortise/backend-interfaces'
import type { DevEui, JoinEui } from '@mortise/lorawan'
import { type Check, isWrong, ok, skipped, wrong } from './check.ts'
import type { Probe } from './probe.ts'
import { readRefusal } from './read-refusal.ts'

/** Prefixes beyond these are not asked for one by one. */
const MAX_PROBED_PREFIXES = 8

export interface JoinChecksOptions {
  readonly probe: Probe
  readonly device: DevEui | undefined
  /** One of every prefix. */
  readonly joinEuis: readonly JoinEui[]
  /** Under which the device may be known. */
  readonly deviceJoinEuis: readonly JoinEui[]
}

/** JoinEUIs, then the device. Every request is forged: nothing is used up. */
export async function checkJoins({ probe, device, joinEuis, deviceJoinEuis }: JoinChecksOptions): Promise<Check[]> {
  const asked = joinEuis.slice(0, MAX_PROBED_PREFIXES)
  for (const joinEui of asked) {
    const refusal = await forge(probe, joinEui)
    if ('status' in refusal) return [refusal]
    const check = checkUnknownDevice(refusal, joinEui)
    if (isWrong(check)) return [check]
  }
  const served = ok('join-server', `it answers for ${asked.join(', ')}`)
  if (device === undefined) return [served, skipped('device', 'none was named (--device EUI)')]
  return [served, await checkDevice(probe, device, deviceJoinEuis)]
}

async function forge(probe: Probe, joinEui: JoinEui, device?: DevEui): Promise<FailureAns | Check> {
  const answer = await probe.forgedJoin(joinEui, device)
  if ('problem' in answer) return wrong('join-server', `no answer (${answer.problem}).`, 'try again; ask its operator.')
  return readRefusal(answer)
}

function checkUnknownDevice({ resultCode, description = '' }: FailureAns, joinEui: JoinEui): Check {
  if (resultCode === 'UnknownDevEUI') return ok('join-server', joinEui)
  if (resultCode === 'UnkownReceiver')
    return wrong(
      'join-server',
      `it does not serve the JoinEUI ${joinEui}.`,
      'take the prefix out of the configuration, or ask the operator of the join server for one that it serves.',
    )
  return wrong(
    'join-server',
    `it refuses with ${resultCode}, "${description}".`,
    'ask its operator; its log has the reason.',
  )
}

async function checkDevice(probe: Probe, device: DevEui, joinEuis: readonly JoinEui[]): Promise<Check> {
  let check: Check = wrong('device', 'no JoinEUI to ask for.', 'name that of the device with --join-eui.')
  for (const joinEui of joinEuis) {
    const refusal = await forge(probe, joinEui, device)
    if ('status' in refusal) return refusal
    check = describeDevice(refusal, device, joinEui, joinEuis.length)
    if (refusal.resultCode !== 'UnknownDevEUI') return check
  }
  return check
}

function describeDevice(
  { resultCode, description = '' }: FailureAns,
  device: DevEui,
  joinEui: JoinEui,
  asked: number,
): Check {
  switch (resultCode) {
    case 'MICFailed':
      return ok('device', `${device} is known under ${joinEui}, and allowed here; KEKs and nonces were not tried`)
    case 'UnknownDevEUI':
      return wrong(
        'device',
        `the join server knows no ${device} under ${asked === 1 ? joinEui : 'any of these JoinEUIs'}.`,
        'compare DevEUI and JoinEUI with the device, or have it added (`mortise device add`).',
      )
    case 'NoRoamingAgreement':
    case 'RoamingActDisallowed':
    case 'DevRoamingDisallowed':
    case 'ActivationDisallowed':
      return wrong(
        'device',
        `its owner has not allowed ${device} to join through this network (${resultCode}, "${description}").`,
        'ask the owner to allow it (`mortise device set EUI --network NETID`).',
      )
    default:
      return wrong(
        'device',
        `${device} cannot join now (${resultCode}, "${description}").`,
        'ask the operator of the join server; `mortise status` there says what it lacks.',
      )
  }
}
