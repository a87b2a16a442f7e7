import type { BridgeFiles } from './files.ts'
import { type BridgePlan, isLocalWebhook } from './plan.ts'

/** What is to be done after `mortise bridge init`, by whom, word for word. */
export function nextSteps(plan: BridgePlan, files: BridgeFiles): string[] {
  const steps = [
    ...[atJoinServer(plan, files), devices(plan), atNetwork(plan, files)],
    ...[secrets(plan, files), certificate(plan, files), trial(files)],
  ]
  return steps
    .filter((lines) => lines.length > 0)
    .flatMap(([title = '', ...lines], index) => ['', `${index + 1}. ${title}`, ...lines.map((line) => `   ${line}`)])
}

function atJoinServer({ asId, kekLabel }: BridgePlan, { request, kek, certificate, ca }: BridgeFiles): string[] {
  return [
    'At the join server. Its operator gets the KEK on a way that nobody else can read; the private key stays here.',
    `mortise peer add as --as-id ${asId} --csr ${request}`,
    `mortise kek set --as ${asId} --label ${kekLabel} --key-file ${kek}`,
    `What comes out of it belongs here: ${certificate}, ${ca}`,
  ]
}

function devices({ asId }: BridgePlan): string[] {
  return ['For each device; it takes effect with its next join.', `mortise device set DEVEUI --as ${asId}`]
}

function atNetwork({ source, from, apiUrl }: BridgePlan, { webhookToken, config }: BridgeFiles): string[] {
  if (source === 'chirpstack')
    return [
      'In ChirpStack:',
      'Device profile, Codec: none. It has nothing to decode, and the bridge runs codecs.',
      'Device, OTAA keys: none. The root keys are with the join server.',
      ...('webhook' in from
        ? [
            'Application, Integrations, HTTP: payload encoding JSON, event endpoint URL of the bridge,',
            `and a header: Authorization, with "Bearer " and the content of ${webhookToken}.`,
          ]
        : ['An account at its MQTT broker that may read application/#, and nothing else.']),
      ...(apiUrl === undefined ? [] : ['Tenant, API keys: make one for downlinks.']),
    ]
  return [
    'In The Things Stack:',
    'Application, General settings: tick "Skip payload encryption and decryption" (skip_payload_crypto of its link).',
    'Application, Payload formatters: none. The bridge runs codecs.',
    ...('webhook' in from
      ? [
          'Application, Webhooks: format JSON, base URL of the bridge, uplink message and join accept switched on,',
          `and a header: Authorization, with "Bearer " and the content of ${webhookToken}.`,
        ]
      : ['Application, API keys: one with the rights to read and to write application traffic, as password.']),
    ...('webhook' in from && apiUrl === undefined
      ? [`For downlinks: an API key that may write them, and source.api in ${config}.`]
      : []),
  ]
}

function secrets({ source, from, apiUrl, sinkUser }: BridgePlan, files: BridgeFiles): string[] {
  const { sourcePassword, sinkPassword, apiToken } = files
  const password = source === 'chirpstack' ? 'the password' : 'the API key, which is the password'
  const secret: [string, string][] = [
    ...('user' in from ? [pair(`${password} of ${from.user} at the network's broker`, sourcePassword)] : []),
    ...(apiUrl === undefined ? [] : [pair('the API key for downlinks', apiToken)]),
    ...(sinkUser === undefined ? [] : [pair(`the password of ${sinkUser} at your broker`, sinkPassword)]),
  ]
  if (secret.length === 0) return []
  return [
    'Here: secrets. Run these one at a time: each waits for what you paste, then Enter and Control-D.',
    ...secret.flatMap(([what, file]) => [`${what}:`, `(umask 077 && cat > ${file})`]),
  ]
}

function pair(what: string, file: string): [string, string] {
  return [what, file]
}

function certificate({ from }: BridgePlan, { root }: BridgeFiles): string[] {
  if (!('webhook' in from) || isLocalWebhook(from.webhook)) return []
  return [
    'Here: a certificate for the name under which the network posts to the bridge, of an authority that it trusts.',
    `The certificate goes to ${root}/webhook-cert.pem,`,
    `and its private key, with mode 0600, to ${root}/webhook-key.pem`,
  ]
}

function trial({ config }: BridgeFiles): string[] {
  return ['Try it, then run it:', `mortise bridge check --config ${config}`, `mortise bridge run --config ${config}`]
}
