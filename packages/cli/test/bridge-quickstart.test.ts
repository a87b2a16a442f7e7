import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readBridgeConfig } from '@mortise/bridge'
import { Mosquitto } from '../src/demo/doors/mosquitto.ts'
import { ChirpStackApi } from './chirpstack-api.ts'
import { BIN, initialise, json, Server, start, transcriptOf, Workplace } from './mortise.ts'

const run = promisify(execFile)
const DOCUMENT_TIMEOUT_MS = 120_000
const DOCUMENT = readFileSync(new URL('../../../docs/quickstart-bridge.md', import.meta.url), 'utf8')
const SECRETS: Readonly<Record<string, string>> = {
  'source-password': 'of-the-network',
  'sink-password': 'of-the-owner',
  'api-token': 'key-of-the-tenant',
}

function blocks(language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm')
  return Array.from(DOCUMENT.matchAll(pattern), ([, block = '']) => block)
}

describe('the commands of quickstart-bridge.md', () => {
  test(
    'can be run one after another, and the bridge finds everything that it needs',
    async () => {
      using place = new Workplace()
      await initialise(place)
      const keysFile = place.secret('keys.json', '{"appKey":"00112233445566778899aabbccddeeff"}')
      const device = ['--dev-eui', '70b3d57ed0061a01', '--join-eui', '70b3d57ed0000001', '--mac-version', '1.0.3']
      await json(['device', 'add', ...device, '--keys-file', keysFile, '--network', '000013', '--data', place.data])
      await using cleanup = new AsyncDisposableStack()
      const server = await Server.start(place.data, '--passphrase-file', place.passphraseFile)
      cleanup.defer(async () => {
        await server.stop()
      })
      const network = cleanup.use(
        await Mosquitto.start(place.path('network'), [
          { user: 'doors', password: 'of-the-network', access: ['topic read application/#'] },
        ]),
      )
      const owner = cleanup.use(
        await Mosquitto.start(place.path('owner'), [
          { user: 'bridge', password: 'of-the-owner', access: ['topic readwrite #'] },
        ]),
      )
      const api = cleanup.use(await ChirpStackApi.start('key-of-the-tenant'))

      /** The other parties are on this machine, where they need no TLS. */
      const here = (block: string): string =>
        block
          .replaceAll('https://js.example.com:8443', `https://localhost:${server.facts.bi.split(':').at(-1) ?? ''}`)
          .replaceAll('mqtts://chirpstack.example.com:8883', network.url)
          .replaceAll('https://chirpstack.example.com:8080', `http://127.0.0.1:${api.port}`)
          .replaceAll('mqtts://broker.owner.example:8883', owner.url)
      const env = { ...process.env, MORTISE_DATA: place.data, PATH: `${dirname(BIN)}:${process.env['PATH'] ?? ''}` }
      const shell = async (block: string): Promise<string> => {
        const secret = /cat > \.\/bridge\/(\S+)/.exec(block)?.[1] ?? ''
        const child = run('bash', ['-euo', 'pipefail', '-c', `umask 077\n${here(block)}`], { cwd: place.root, env })
        child.child.stdin?.end(`${SECRETS[secret] ?? ''}\n`)
        return (await child).stdout
      }

      const all = blocks('sh')
      expect(all[0]).toContain('umask 077')
      const later = /bridge (?:run|downlink) /
      const now = all.slice(1).filter((block) => !later.test(block))
      expect([all.length, now.length]).toEqual([12, 9])
      const said: string[] = []
      for (const block of now) said.push(await shell(block))
      const checked = said.at(-1) ?? ''
      expect(checked).toMatch(/^join-server +ok +it knows the AS doors\.example/m)
      expect(checked).not.toContain('WRONG')

      for (const directory of ['bridge-tts', 'bridge-webhook']) {
        const config = join(place.root, directory, 'config.yaml')
        // What is missing is what others are to give.
        await expect(readBridgeConfig(config)).rejects.toThrow(/does not exist/)
      }
      const [running = '', downlink = ''] = all.filter((block) => later.test(block))
      const bridge = start(running.trim().split(' ').slice(1), { cwd: place.root })
      const ended = transcriptOf(bridge)
      await new Promise<void>((resolve) =>
        bridge.stderr?.once('data', () => {
          resolve()
        }),
      )
      await expect(shell(downlink)).rejects.toThrow('wait for an uplink')
      bridge.kill('SIGTERM')
      expect((await ended).code).toBe(0)
    },
    DOCUMENT_TIMEOUT_MS,
  )

  test('and its YAML is what the configuration takes', () => {
    const [codecs = ''] = blocks('yaml')
    expect(codecs).toMatch(/^codecs:\n {2}- file: door\.js\n {4}profiles: /)
  })
})
