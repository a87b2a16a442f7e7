import type { Device } from '@mortise/simulator'
import { setTimeout as delay } from 'node:timers/promises'
import { existsSync } from 'node:fs'
import { CliError } from '../../errors.ts'
import { requireParent, writeNewFile } from '../../files.ts'
import { DemoError, type Narrator } from '../narrator.ts'
import type { Stage } from '../stage.ts'
import { BUZZER, DAY, DOOR_PAYLOADS, DOOR_PORT } from './door.ts'
import { inParallel } from './in-parallel.ts'
import { findPlaintexts, hasEqual, searchedBytes, shareOfOnes, toleranceOfOnes, viewText } from './network-view.ts'
import { type Scene, setScene } from './scene.ts'

/** Radios that send at once. */
const AT_ONCE = 32
const QUEUE_TIMEOUT_MS = 10_000

export interface DoorsOptions {
  readonly devices: number
  /** Where the network operator's view is kept. */
  readonly out: string
}

/** A day of many doors: what their owner reads, and what the network between sees of it. */
export async function tellDoors(stage: Stage, narrator: Narrator, { devices, out }: DoorsOptions): Promise<void> {
  refuseExisting(out)
  await using cleanup = new AsyncDisposableStack()
  const scene = await setScene(stage, narrator, cleanup, devices)
  await join(scene, narrator)
  await liveADay(scene, narrator)
  await soundTheBuzzer(scene, narrator)
  await lookThrough(scene, narrator, out)
}

/** At once, and not after a minute of play. @throws CliError directory_missing, file_exists */
function refuseExisting(out: string): void {
  requireParent(out)
  if (!existsSync(out)) return
  throw new CliError('file_exists', `${out} is there already`, { hint: 'move it away, or name another file' })
}

async function join({ doors, network }: Scene, narrator: Narrator): Promise<void> {
  narrator.act('The doors join through the public network, which asks the join server (Backend Interfaces).')
  const started = performance.now()
  await inParallel(doors, AT_ONCE, (door) => network.join(door))
  const seconds = (performance.now() - started) / 1000
  const joined = doors.filter(({ session }) => session !== undefined).length
  narrator.show(joined === doors.length, `${joined} doors joined in ${seconds.toFixed(1)} s`)
}

async function liveADay({ doors, network, counter }: Scene, narrator: Narrator): Promise<void> {
  narrator.act(`Each door is ${DAY.join(', then ')}. The network publishes what it cannot read; the bridge opens it.`)
  const started = performance.now()
  for (const [event, payload] of DOOR_PAYLOADS.entries())
    await inParallel(doors, AT_ONCE, async (door) => {
      await network.receive(await door.uplink({ fPort: DOOR_PORT, payload, confirmed: event === 1 }), event)
    })
  const sent = DAY.length * doors.length
  await counter.waitFor(sent)
  const seconds = (performance.now() - started) / 1000
  const [opened, closed, open] = [counter.countOf('opened'), counter.countOf('closed'), counter.nowIn('opened')]
  narrator.table([
    ['the owner counts', 'opened', 'closed', 'open now'],
    ['', String(opened), String(closed), String(open)],
  ])
  const expected = (state: string): number => DAY.filter((one) => one === state).length * doors.length
  narrator.show(
    opened === expected('opened') && closed === expected('closed') && open === doors.length,
    `all ${sent} events arrived at the owner's broker, decoded, within ${seconds.toFixed(1)} s of the first one`,
  )
}

async function soundTheBuzzer({ doors, network, counter }: Scene, narrator: Narrator): Promise<void> {
  narrator.act("The owner's application commands a door to sound its buzzer. The network carries it unread.")
  const door = first(doors)
  const { devEui } = door.identity
  await counter.command(devEui, DOOR_PORT, BUZZER)
  const deadline = Date.now() + QUEUE_TIMEOUT_MS
  while (network.queued.length === 0) {
    if (Date.now() > deadline) throw new DemoError('the command did not arrive in the queue of the network')
    await delay(20)
  }
  const [item] = network.queued
  const { payload } = await network.send(door)
  narrator.show(
    Buffer.from(payload).equals(BUZZER) && item?.data.equals(BUZZER) === false,
    `the network queued ${item?.data.toString('hex').slice(0, 24)}…, and ${devEui} read "${BUZZER.toString()}"`,
  )
}

async function lookThrough({ doors, network }: Scene, narrator: Narrator, out: string): Promise<void> {
  narrator.act('Everything that the network operator has seen is searched for what the doors said.')
  const view = await network.view()
  writeNewFile(out, viewText(view))
  const megabytes = (searchedBytes(view) / 2 ** 20).toFixed(0)
  narrator.say(`${view.length} things: frames, Backend Interfaces, session keys, ${network.published} broker messages`)
  narrator.say(`they are in ${out}`)
  const plaintexts = [...DOOR_PAYLOADS, BUZZER]
  const found = findPlaintexts(view, plaintexts)
  const said = DAY.length * doors.length
  narrator.show(
    found.length === 0,
    `none of ${said} events, nor the command, is in it: as it is, or in hexadecimal or base64 (${megabytes} MiB searched)`,
  )
  const planted = plaintexts.map((plaintext) => ({
    kind: 'broker',
    text: `{"data":"${plaintext.toString('base64')}"}`,
  }))
  const seen = findPlaintexts([...view, ...planted], plaintexts)
  narrator.show(seen.length === plaintexts.length, 'the same search finds each of them where it was planted on purpose')
  judgeCiphertexts(network.ciphertexts, narrator)
  narrator.say('What it does see: which sensor sent, when, on which FPort, and how many bytes.')
}

/** "door opened, event 1 today" is the same text at every door: only encryption can make a difference. */
function judgeCiphertexts(ciphertexts: readonly Buffer[][], narrator: Narrator): void {
  const [ofFirst = []] = ciphertexts
  const all = ciphertexts.flat()
  narrator.show(
    !hasEqual(ofFirst) && hasEqual([...ofFirst, ...ofFirst.slice(0, 1)]),
    `one event, the same words at ${ofFirst.length} doors: ${ofFirst.length} different ciphertexts`,
  )
  narrator.show(!hasEqual(all), `no two of all ${all.length} payloads are equal`)
  narrator.show(
    new Set(all.map(({ length }) => length)).size === 1,
    'opened and closed have the same length, so that it does not tell them apart',
  )
  const share = shareOfOnes(all)
  const plain = shareOfOnes(DOOR_PAYLOADS)
  narrator.show(
    Math.abs(share - 0.5) < toleranceOfOnes(all),
    `half of their bits are 1: ${(100 * share).toFixed(2)} % (in clear it were ${(100 * plain).toFixed(2)} %)`,
  )
}

function first(doors: readonly Device[]): Device {
  const [door] = doors
  if (door === undefined) throw new DemoError('no door')
  return door
}
