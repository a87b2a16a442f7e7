import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { bytesToHex } from '@mortise/lorawan'
import { CommandError, type CommandProcess, type Device } from '@mortise/simulator'
import { enrolmentLine, JOIN_EUI, makeFleet } from './fleet.ts'
import { forgeKekRecord, stealRecords, tryRelease } from './hostile-server.ts'
import { DemoError, type Narrator } from './narrator.ts'
import { newKekFile, type Stage } from './stage.ts'

const NETWORK = '000013'
const OTHER_NETWORK = '600002'
const OWNER = 'doors.example'
const OTHER_OWNER = 'meters.example'
const DOOR_PORT = 15

/** Everybody in the play. */
interface Cast {
  readonly fleet: readonly Device[]
  readonly network: CommandProcess
  readonly otherNetwork: CommandProcess
  readonly application: CommandProcess
  readonly otherApplication: CommandProcess
}

/** A device's life from key to reading, and everything that must not work. */
export async function tellStory(stage: Stage, narrator: Narrator, devices: number): Promise<void> {
  const cast = await setUp(stage, narrator, devices)
  await activate(cast, narrator)
  await sendReadings(cast, narrator)
  await sendCommand(cast, narrator)
  await fetchByName(cast, narrator)
  await refuseJoins(cast, narrator)
  await refuseKeys(stage, cast, narrator)
  tellWhoHoldsWhat(narrator)
}

async function setUp(stage: Stage, narrator: Narrator, devices: number): Promise<Cast> {
  narrator.act('A company makes an installation. Its keys are born inside the HSM process.')
  const passphraseFile = stage.write('passphrase', `${randomBytes(24).toString('base64')}\n`)
  await stage.mortise('init', '--passphrase-file', passphraseFile, '--yes')
  await stage.startServers(passphraseFile)

  narrator.act('Two network operators and two application servers get certificates. KEKs are sealed to the HSM.')
  const ownerKek = newKekFile(stage, 'owner-kek', 32)
  const otherKek = newKekFile(stage, 'other-owner-kek', 16)
  const networkKek = newKekFile(stage, 'network-kek', 16)
  const certificate = (name: string) => ['--issue-certificate', join(stage.root, name)]
  await stage.mortise('peer', 'add', 'ns', '--net-id', NETWORK, ...certificate('network'))
  await stage.mortise('peer', 'add', 'ns', '--net-id', OTHER_NETWORK, ...certificate('other-network'))
  await stage.mortise('peer', 'add', 'as', '--as-id', OWNER, ...certificate('owner'))
  await stage.mortise('peer', 'add', 'as', '--as-id', OTHER_OWNER, ...certificate('other-owner'))
  await stage.mortise('kek', 'set', '--ns', NETWORK, '--label', 'ns-1', '--key-file', networkKek)
  await stage.mortise('kek', 'set', '--as', OWNER, '--label', 'doors-1', '--key-file', ownerKek)
  await stage.mortise('kek', 'set', '--as', OTHER_OWNER, '--label', 'meters-1', '--key-file', otherKek)

  const fleet = await enrol(stage, narrator, devices)
  return {
    fleet,
    network: stage.networkServer('network', NETWORK, { label: 'ns-1', keyFile: networkKek }),
    otherNetwork: stage.networkServer('other-network', OTHER_NETWORK),
    application: stage.applicationServer('owner', OWNER, { label: 'doors-1', keyFile: ownerKek }),
    otherApplication: stage.applicationServer('other-owner', OTHER_OWNER, { label: 'meters-1', keyFile: otherKek }),
  }
}

async function enrol(stage: Stage, narrator: Narrator, devices: number): Promise<Device[]> {
  narrator.act(
    `${devices} door sensors are enrolled. Each secure element makes its keys; the CLI seals them to the HSM.`,
  )
  const fleet = await makeFleet(stage.secureElement, devices)
  const lines: string[] = []
  for (const device of fleet) lines.push(await enrolmentLine(stage.secureElement, device, OWNER, NETWORK))
  const file = stage.write('devices.jsonl', `${lines.join('\n')}\n`)
  await stage.mortise('device', 'add', '--file', file)
  rmSync(file)
  const versions = fleet.map(({ identity }) => identity.macVersion)
  narrator.say(`LoRaWAN versions: ${[...new Set(versions)].join(', ')}; the file with their keys is deleted`)
  const again = await refusalOf(stage.secureElement.takeRootKeysForProvisioning(first(fleet).identity.devEui))
  narrator.show(again?.code === 'root_keys_taken', 'a secure element gives its root keys out once, and never again')
  return fleet
}

async function activate({ fleet, network, application }: Cast, narrator: Narrator): Promise<void> {
  narrator.act('The sensors join through the public network.')
  for (const device of fleet) {
    const { devEui, macVersion } = device.identity
    const activation = await network.request('activate', {
      phyPayload: bytesToHex(await device.joinRequest()),
      macVersion,
    })
    await device.handleJoinAccept(activation.bytes('phyPayload'))
    const envelope = activation.object('appSKey')
    const appSKey = { kekLabel: envelope.text('kekLabel'), aesKey: bytesToHex(envelope.bytes('aesKey')) }
    const opened = await application.request('activate', { devEui, devAddr: activation.text('devAddr'), appSKey })
    if (opened.text('appSKeyFrom') !== 'envelope') throw new DemoError('the AppSKey came another way')
    narrator.say(
      `${devEui} (LoRaWAN ${macVersion}) joined as ${activation.text('devAddr')}; AppSKey wrapped under "${appSKey.kekLabel}"`,
    )
  }
  const joined = fleet.filter((device) => device.session !== undefined).length
  narrator.show(
    joined === fleet.length,
    `${joined} secure elements accepted their join-accept; the owner opened every AppSKey`,
  )
}

async function sendReadings({ fleet, network, application }: Cast, narrator: Narrator): Promise<void> {
  narrator.act('The sensors send readings, unconfirmed and confirmed.')
  const rows: string[][] = [['DevEUI', 'what the network operator sees', 'what the owner sees']]
  for (const [index, device] of fleet.entries()) {
    const reading = `door ${index + 1} ${index % 2 === 0 ? 'open' : 'shut'}`
    const frame = await device.uplink({ fPort: DOOR_PORT, payload: Buffer.from(reading), confirmed: index % 2 === 1 })
    const uplink = await network.request('uplink', { phyPayload: bytesToHex(frame) })
    const seen = uplink.text('frmPayload')
    const { devEui } = device.identity
    const clear = await application.request('uplink', {
      devEui,
      fPort: DOOR_PORT,
      fCnt: uplink.number('fCnt'),
      frmPayload: seen,
    })
    const read = Buffer.from(clear.bytes('payload')).toString()
    if (read !== reading || seen === Buffer.from(reading).toString('hex')) throw new DemoError(`reading of ${devEui}`)
    rows.push([devEui, seen, read])
    if (uplink.flag('confirmed')) await acknowledge(network, device)
  }
  narrator.table(rows)
  narrator.show(rows.length === fleet.length + 1, 'the network delivered ciphertext, and only the owner read it')
  const everything = JSON.stringify(
    (await network.request('seen')).objects('entries').map((entry) => entry.text('text')),
  )
  narrator.show(
    !everything.includes(Buffer.from('door ').toString('hex')),
    'nothing that the network ever saw contains a reading',
  )
}

async function acknowledge(network: CommandProcess, device: Device): Promise<void> {
  const downlink = await network.request('downlink', { devEui: device.identity.devEui })
  const { acknowledgedFCntUp } = await device.handleDownlink(downlink.bytes('phyPayload'))
  if (acknowledgedFCntUp === undefined) throw new DemoError('the confirmed uplink was not acknowledged')
}

async function sendCommand({ fleet, network, application }: Cast, narrator: Narrator): Promise<void> {
  narrator.act('The owner sends a command to a sensor. The network carries it unread.')
  const device = first(fleet)
  const { devEui } = device.identity
  const payload = Buffer.from('lock').toString('hex')
  const encrypted = await application.request('downlink', { devEui, fPort: DOOR_PORT, payload })
  const { fPort, fCnt, frmPayload } = {
    fPort: encrypted.number('fPort'),
    fCnt: encrypted.number('fCnt'),
    frmPayload: encrypted.text('frmPayload'),
  }
  const downlink = await network.request('downlink', { devEui, fPort, fCnt, frmPayload })
  const received = await device.handleDownlink(downlink.bytes('phyPayload'))
  narrator.show(
    Buffer.from(received.payload).toString() === 'lock',
    `the network sent ${frmPayload}, the sensor read "lock"`,
  )
}

async function fetchByName({ fleet, network, application, otherApplication }: Cast, narrator: Narrator): Promise<void> {
  narrator.act('The owner may also fetch an AppSKey at the join server, by SessionKeyID. Nobody else may.')
  const device = first(fleet)
  const { devEui, macVersion } = device.identity
  const activation = await network.request('activate', {
    phyPayload: bytesToHex(await device.joinRequest()),
    macVersion,
  })
  await device.handleJoinAccept(activation.bytes('phyPayload'))
  const session = {
    devEui,
    devAddr: activation.text('devAddr'),
    joinEui: JOIN_EUI,
    sessionKeyId: activation.text('sessionKeyId'),
  }
  const fetched = await application.request('activate', session)
  narrator.show(
    fetched.text('appSKeyFrom') === 'join-server',
    `"${OWNER}" fetched the AppSKey of session ${session.sessionKeyId}`,
  )
  const stranger = await refusalOf(otherApplication.request('activate', session))
  showRefused(narrator, `"${OTHER_OWNER}" asks for the same session`, stranger, 'ActivationDisallowed')
}

async function refuseJoins({ fleet, network, otherNetwork }: Cast, narrator: Narrator): Promise<void> {
  narrator.act('What must not work: joins.')
  const device = first(fleet)
  const { macVersion } = device.identity
  const used = bytesToHex(await device.joinRequest())
  await network.request('activate', { phyPayload: used, macVersion })
  const replayed = await refusalOf(network.request('activate', { phyPayload: used, macVersion }))
  showRefused(narrator, 'a recorded join-request, played again under a new DevAddr', replayed, 'JoinReqFailed')

  const forged = Buffer.from(await device.joinRequest())
  forged.writeUInt8(forged.readUInt8(22) ^ 1, 22)
  const wrongMic = await refusalOf(network.request('activate', { phyPayload: bytesToHex(forged), macVersion }))
  showRefused(narrator, 'a join-request with a forged MIC', wrongMic, 'MICFailed')

  const elsewhere = bytesToHex(await device.joinRequest())
  const notAllowed = await refusalOf(otherNetwork.request('activate', { phyPayload: elsewhere, macVersion }))
  const stranger = `a join through network ${OTHER_NETWORK}, which the owner did not allow`
  showRefused(narrator, stranger, notAllowed, 'NoRoamingAgreement')
  const allowed = await network.request('activate', { phyPayload: elsewhere, macVersion })
  const { joinNonce } = await device.handleJoinAccept(allowed.bytes('phyPayload'))
  narrator.show(
    joinNonce > 1,
    `the same join-request through network ${NETWORK}: accepted, so the refusals used nothing up`,
  )
}

async function refuseKeys(stage: Stage, { fleet }: Cast, narrator: Narrator): Promise<void> {
  narrator.act('What must not work: a taken-over server. It has the HSM socket and the whole database.')
  const stolen = stealRecords(stage.directory, JOIN_EUI, first(fleet).identity.devEui)
  const socket = stage.directory.serverSocket
  const forged = await tryRelease(socket, stolen, forgeKekRecord(stolen))
  narrator.show(
    forged === 'record_tag_mismatch',
    `it wraps an AppSKey under a KEK of its own making: refused (${forged})`,
  )
  const foreign = await tryRelease(socket, stolen, kekOf(stolen.kekRecords, OTHER_OWNER))
  narrator.show(foreign === 'recipient_not_allowed', `it wraps the AppSKey for "${OTHER_OWNER}": refused (${foreign})`)
  const edited = Buffer.from(stolen.deviceRecord)
  edited.writeUInt8(edited.readUInt8(60) ^ 1, 60)
  const tampered = await tryRelease(socket, { ...stolen, deviceRecord: edited }, kekOf(stolen.kekRecords, OTHER_OWNER))
  narrator.show(tampered.startsWith('record_'), `it edits the device record: refused (${tampered})`)
  const genuine = await tryRelease(socket, stolen, kekOf(stolen.kekRecords, OWNER))
  narrator.show(/^[0-9a-f]{48}$/.test(genuine), `all that it gets is what "${OWNER}" alone can open: ${genuine}`)
}

function tellWhoHoldsWhat(narrator: Narrator): void {
  narrator.act('Who holds which key.')
  narrator.table([
    ['', 'root keys', 'network session keys', 'AppSKey', 'KEKs'],
    ['secure element', 'its own', 'its own', 'its own', '-'],
    ['HSM process', 'wrapped, used inside', 'derived, wrapped', 'derived, wrapped', 'wrapped, used inside'],
    ['Mortise server', '-', 'in passing', 'ciphertext', '-'],
    ['network operator', '-', 'its own', 'ciphertext', 'its own'],
    ['application server', '-', '-', 'its own', 'its own'],
  ])
}

interface Refusal {
  readonly code: string
  readonly message: string
}

/** How something was refused; undefined when it was not. */
async function refusalOf(attempt: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await attempt
    return undefined
  } catch (error) {
    if (error instanceof CommandError) return error
    if (error instanceof Error && 'code' in error && typeof error.code === 'string')
      return { code: error.code, message: error.message }
    throw error
  }
}

/** A refusal by the join server, with the result code that was expected. */
function showRefused(narrator: Narrator, attempt: string, refusal: Refusal | undefined, resultCode: string): void {
  narrator.show(refusal?.message.includes(resultCode) === true, `${attempt}: refused (${resultCode})`)
}

function kekOf(records: ReadonlyMap<string, Buffer>, asId: string): Buffer {
  const record = records.get(asId)
  if (record === undefined) throw new DemoError(`no KEK of ${asId}`)
  return record
}

function first(fleet: readonly Device[]): Device {
  const [device] = fleet
  if (device === undefined) throw new DemoError('no device')
  return device
}
