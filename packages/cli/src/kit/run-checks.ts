import { type DevEui, EUI64_BITS, type JoinEui, type NetId } from '@mortise/lorawan'
import { CliError } from '../errors.ts'
import { type Check, isWrong, ok, wrong } from './check.ts'
import { checkAnswers } from './check-answers.ts'
import { checkFiles, type Credentials } from './check-files.ts'
import { checkJoinEui, checkKek } from './check-local.ts'
import { checkNetwork, endpointOf } from './check-network.ts'
import { readChirpStack } from './chirpstack.ts'
import { type KitKind, type KitManifest, readManifest } from './manifest.ts'
import { Probe } from './probe.ts'
import type { Fault, NetworkServerSetup, ReadSetup } from './setup.ts'
import { readTheThingsStack } from './the-things-stack.ts'

export interface TestOptions {
  /** Directory of the kit. */
  readonly kit: string
  /** Where the network server is thought to ask; what it is configured with otherwise. */
  readonly url?: string | undefined
  /** What the network server has as its NetID, if that is not what the kit says. */
  readonly netId?: NetId | undefined
  readonly device?: DevEui | undefined
  readonly joinEui?: JoinEui | undefined
  readonly now: () => number
}

const READERS: Readonly<Record<KitKind, (directory: string, manifest: KitManifest) => ReadSetup>> = {
  chirpstack: readChirpStack,
  'the-things-stack': readTheThingsStack,
}

/** Plays the network server, from its files to an answer about a device. Whatever is wrong is told, not thrown. */
export async function testKit(options: TestOptions): Promise<Check[]> {
  let manifest: KitManifest
  let read: ReadSetup
  try {
    manifest = readManifest(options.kit)
    read = READERS[manifest.kind](options.kit, manifest)
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return [wrong('kit', `${error.message}.`, `${error.hint ?? 'have it written again'}.`)]
  }
  const kit = ok('kit', `${manifest.kind}, for ${manifest.netId}, of ${manifest.madeAt.slice(0, 10)}`)
  const faults = [...read.faults, ...urlFaults(read.setup, options.url)]
  const setup = {
    ...read.setup,
    ...(options.url !== undefined && { url: options.url }),
    ...(options.netId !== undefined && { netId: options.netId }),
  }
  const configuration = faults.length === 0 ? [ok('configuration', setup.url)] : faults.map(toCheck)
  const { checks, credentials } = checkFiles(setup, options.now())
  const local = [kit, ...configuration, ...checks, checkKek(manifest, setup), checkJoinEui(setup, options.joinEui)]
  if (credentials === undefined || !isHttps(setup.url)) return local
  return [...local, ...(await checkThere(options, manifest, setup, credentials))]
}

async function checkThere(
  { device, joinEui, now }: TestOptions,
  manifest: KitManifest,
  setup: NetworkServerSetup,
  credentials: Credentials,
): Promise<Check[]> {
  const network = await checkNetwork(endpointOf(setup.url), credentials, now())
  if (network.some(isWrong)) return network
  const joinEuis = joinEui === undefined ? setup.joinEuis.map((prefix) => prefix.joinEui) : [joinEui]
  const whole = setup.joinEuis.filter(({ bits }) => bits === EUI64_BITS).map((prefix) => prefix.joinEui)
  const deviceJoinEuis = joinEui === undefined ? whole : [joinEui]
  const probe = new Probe(setup, credentials)
  const answers = await checkAnswers({ probe, setup, manifest, now, device, joinEuis, deviceJoinEuis })
  return [...network, ...answers]
}

function toCheck({ detail, remedy }: Fault): Check {
  return wrong('configuration', detail, remedy)
}

function urlFaults({ url }: NetworkServerSetup, asked: string | undefined): Fault[] {
  if (!isHttps(url))
    return [
      {
        detail: `"${url}" is not an https address: session keys would travel in clear.`,
        remedy: 'write the https address of the kit.',
      },
    ]
  if (asked === undefined || new URL(asked).href === new URL(url).href) return []
  return [
    {
      detail: `the network server is configured with ${url}, not with ${asked}.`,
      remedy: 'write this address into its configuration, or leave --url out to try the one that is there.',
    },
  ]
}

function isHttps(url: string): boolean {
  return URL.canParse(url) && new URL(url).protocol === 'https:'
}
