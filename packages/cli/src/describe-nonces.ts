import type { DeviceView } from '@mortise/server'
import { counted } from './output.ts'

type Nonces = DeviceView['nonces']

const BEHAVIOURS: Record<Nonces['behaviour'], string> = {
  random: 'random',
  counter: 'counter',
  'counter-recognised': 'counter (recognised)',
}

/** Lines about a device's nonces and how long they last: name and text of each. */
export function describeNonces(device: DeviceView): [name: string, text: string][] {
  const { lastJoinNonce, lastDevNonce, devNoncesUsed, nonces } = device
  const last = lastDevNonce === undefined ? '' : `, last ${lastDevNonce}`
  return [
    ['JoinNonce', `${lastJoinNonce === 0 ? 'none yet' : `last ${lastJoinNonce}`}, ${nonces.joinNoncesLeft} left`],
    ['DevNonces', `${devNoncesUsed} used${last}, ${nonces.devNoncesLeft} left`],
    ['nonce behaviour', [BEHAVIOURS[nonces.behaviour], ...describeCost(nonces)].join(', ')],
    ['nonces last for', describeForecast(nonces)],
    ...nonces.warnings.map((warning): [string, string] => ['WARNING', warning]),
  ]
}

/** What a join costs the device. */
function describeCost({ devNoncesPerJoin, refusalProbability, triesPerJoin }: Nonces): string[] {
  if (devNoncesPerJoin !== undefined) return [`${counted(devNoncesPerJoin, 'DevNonce')} a join`]
  if (refusalProbability === undefined) return []
  const percent = Number((100 * refusalProbability).toFixed(2))
  const tries = triesPerJoin === undefined ? [] : [`${counted(triesPerJoin, 'join-request')} a join`]
  return [`a new one was used before in ${percent} % of all cases`, ...tries]
}

function describeForecast({ joinsLeft, joinsPerYear, exhaustedAt }: Nonces): string {
  if (joinsLeft === 0) return `no join: used up since ${exhaustedAt ?? 'the last one'}`
  const joins = counted(joinsLeft, 'join')
  if (joinsPerYear === undefined) return joins
  return `${joins}, ${exhaustedAt === undefined ? 'more than 20 years' : `until ${exhaustedAt}`} at ${joinsPerYear} a year`
}
