import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import type { Command } from 'commander'
import {
  brokerOption,
  completePlan,
  type PlanOptions,
  sinkOption,
  sourceOption,
  userOption,
} from '../bridge/ask-plan.ts'
import { configText } from '../bridge/config-text.ts'
import { bridgeFiles, type BridgeFiles } from '../bridge/files.ts'
import { nextSteps } from '../bridge/next-steps.ts'
import {
  type BridgePlan,
  parseService,
  parseWebhook,
  type PlannedSink,
  SERVICE_WORDS,
  WEBHOOK_WORDS,
} from '../bridge/plan.ts'
import { createRequest } from '../certificates.ts'
import { CliError } from '../errors.ts'
import { requireParent } from '../files.ts'
import { asIdOption, httpsUrlOption, labelOption } from '../identifiers.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { asPath, examples, parsedBy } from '../options.ts'
import { report } from '../output.ts'

interface InitOptions extends PlanOptions {
  readonly out: string
  readonly json?: boolean
}

const KEK_BYTES = 32

export function registerBridgeInit(bridge: Command): void {
  const command = bridge
    .command('init')
    .description('make the configuration, TLS key, certificate request and KEK of a new bridge')
    .requiredOption('--out <dir>', 'where they go: a new or empty directory', asPath)
    .option('--source <kind>', 'network server: chirpstack or the-things-stack', sourceOption)
    .option('--source-url <url>', 'its MQTT broker', brokerOption)
    .option('--source-user <name>', 'user at that broker; The Things Stack: APPLICATION@TENANT', userOption)
    .option(
      '--webhook <host:port>',
      'let the network server post its events here, instead of MQTT',
      parsedBy(parseWebhook, WEBHOOK_WORDS),
    )
    .option('--api-url <url>', 'its API, for downlinks', parsedBy(parseService, SERVICE_WORDS))
    .option('--sink <where>', 'mqtts://…, https://… or stdout, repeatable', collectSinks)
    .option('--sink-user <name>', 'user at the brokers among them', userOption)
    .option('--join-server <url>', 'join server, https', httpsUrlOption)
    .option('--as-id <id>', 'AS-ID by which the join server knows the owner', asIdOption)
    .option('--kek-label <label>', 'label of the KEK (default: AS-ID and "-1")', labelOption)
    .option('--json', 'print JSON for programs')
    .action(init)
  examples(
    command,
    'mortise bridge init --out ./bridge',
    'mortise bridge init --out ./bridge --source chirpstack --source-url mqtts://chirpstack.example.com:8883 \\',
    '    --api-url https://chirpstack.example.com:8080 --sink mqtts://broker.owner.example:8883 \\',
    '    --join-server https://js.example.com:8443 --as-id doors.example',
    'mortise bridge init --out ./bridge --source the-things-stack --source-user doors@acme \\',
    '    --source-url mqtts://stack.example.com:8883 --sink https://app.owner.example/readings \\',
    '    --join-server https://js.example.com:8443 --as-id doors.example',
  )
  command.addHelpText('after', '\nWhat is not given is asked for, if there is a terminal.')
}

function collectSinks(text: string, before: readonly PlannedSink[] | undefined): readonly PlannedSink[] {
  return [...(before ?? []), sinkOption(text)]
}

async function init({ out, json, ...options }: InitOptions): Promise<void> {
  requireParent(out)
  refuseFiles(out)
  const plan = await completePlan(options)
  const files = bridgeFiles(out)
  using created = new CreatedPaths()
  created.directory(out)
  await write(created, plan, files)
  created.keep()
  const steps = nextSteps(plan, files)
  const { config, key, request, kek } = files
  const facts = { ...plan, files: { config, key, request, kek } }
  report({ ...(json !== undefined && { json }) }, facts, () =>
    [
      `The bridge is set up in ${out}. Nothing works yet: what comes next is`,
      ...steps,
      '',
      `${kek} opens every payload of your devices. Keep a copy where only you can read it.`,
    ].join('\n'),
  )
}

async function write(created: CreatedPaths, plan: BridgePlan, files: BridgeFiles): Promise<void> {
  const { request, privateKey } = await createRequest(plan.asId)
  const id = randomBytes(4).toString('hex')
  const clientIds = {
    source: `mortise-bridge-${id}`,
    sink: (index: number) => `mortise-bridge-${id}-sink-${index}`,
  }
  created.file(files.key, privateKey)
  created.file(files.request, request)
  created.file(files.kek, `${randomBytes(KEK_BYTES).toString('hex')}\n`)
  if ('webhook' in plan.from) created.file(files.webhookToken, `${randomBytes(KEK_BYTES).toString('hex')}\n`)
  created.file(files.config, configText(plan, clientIds))
}

/** @throws CliError directory_not_empty */
function refuseFiles(out: string): void {
  if (!existsSync(out) || readdirSync(out).length === 0) return
  throw new CliError('directory_not_empty', `${out} has files in it`, {
    hint: 'name a new directory; to begin anew, move this one away: its KEK is needed as long as sessions under it live',
  })
}
