/**
 * The secure element as a process: commands on standard input, answers on standard output, as in command-loop.ts, each
 * named as in {@link SecureElement}. It ends with its standard input. Bytes are hexadecimal text.
 */
import {
  bytesToHex,
  type Direction,
  type FOptsCounter,
  parseDevEui,
  parseJoinEui,
  parseMacVersion,
  parseNetId,
} from '@mortise/lorawan'
import { serveCommands } from './command-loop.ts'
import { type Members, MembersError } from './members.ts'
import type { RejoinToSign } from './secure-element.ts'
import { SoftSecureElement } from './soft-secure-element.ts'

await using secureElement = new SoftSecureElement()
const devEuiOf = (members: Members) => parseDevEui(members.text('devEui'))

await serveCommands(process.stdin, process.stdout, {
  async createDevice(members) {
    await secureElement.createDevice({
      devEui: devEuiOf(members),
      joinEui: parseJoinEui(members.text('joinEui')),
      macVersion: parseMacVersion(members.text('macVersion')),
    })
    return {}
  },
  async takeRootKeysForProvisioning(members) {
    const { appKey, nwkKey } = await secureElement.takeRootKeysForProvisioning(devEuiOf(members))
    return { appKey: bytesToHex(appKey), nwkKey: nwkKey && bytesToHex(nwkKey) }
  },
  async signJoinRequest(members) {
    const phyPayload = await secureElement.signJoinRequest(devEuiOf(members), members.number('devNonce'))
    return { phyPayload: bytesToHex(phyPayload) }
  },
  async signRejoinRequest(members) {
    const phyPayload = await secureElement.signRejoinRequest(devEuiOf(members), rejoinOf(members))
    return { phyPayload: bytesToHex(phyPayload) }
  },
  async processJoinAccept(members) {
    const result = await secureElement.processJoinAccept(devEuiOf(members), members.bytes('phyPayload'))
    return { ...result, cfList: result.cfList && bytesToHex(result.cfList) }
  },
  async signUplink(members) {
    const mic = await secureElement.signUplink(devEuiOf(members), {
      message: members.bytes('message'),
      fCnt: members.number('fCnt'),
      confFCnt: members.number('confFCnt'),
      txDr: members.number('txDr'),
      txCh: members.number('txCh'),
    })
    return { mic: bytesToHex(mic) }
  },
  async verifyDownlink(members) {
    const valid = await secureElement.verifyDownlink(devEuiOf(members), {
      message: members.bytes('message'),
      mic: members.bytes('mic'),
      fCnt: members.number('fCnt'),
      confFCnt: members.number('confFCnt'),
    })
    return { valid }
  },
  async cryptFrmPayload(members) {
    const payload = await secureElement.cryptFrmPayload(devEuiOf(members), {
      direction: directionOf(members),
      fPort: members.number('fPort'),
      fCnt: members.number('fCnt'),
      payload: members.bytes('payload'),
    })
    return { payload: bytesToHex(payload) }
  },
  async cryptFOpts(members) {
    const fOpts = await secureElement.cryptFOpts(devEuiOf(members), {
      direction: directionOf(members),
      counter: counterOf(members),
      fCnt: members.number('fCnt'),
      fOpts: members.bytes('fOpts'),
    })
    return { fOpts: bytesToHex(fOpts) }
  },
})

function rejoinOf(members: Members): RejoinToSign {
  const rejoinType = members.number('rejoinType')
  if (rejoinType === 1) return { rejoinType, rjCount1: members.number('rjCount1') }
  if (rejoinType === 0 || rejoinType === 2) {
    return { rejoinType, netId: parseNetId(members.text('netId')), rjCount0: members.number('rjCount0') }
  }
  throw new MembersError('member_malformed', 'rejoinType must be 0, 1 or 2.')
}

function directionOf(members: Members): Direction {
  const direction = members.text('direction')
  if (direction === 'up' || direction === 'down') return direction
  throw new MembersError('member_malformed', 'direction must be "up" or "down".')
}

function counterOf(members: Members): FOptsCounter {
  const counter = members.text('counter')
  if (counter === 'FCntUp' || counter === 'NFCntDown' || counter === 'AFCntDown') return counter
  throw new MembersError('member_malformed', 'counter must be FCntUp, NFCntDown or AFCntDown.')
}
