import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { registerCommands } from '../src/program.ts'
import { mortise } from './mortise.ts'

const program = new Command('mortise')
await registerCommands(program)

function leaves(command: Command, words: readonly string[] = []): { words: string; command: Command }[] {
  if (command.commands.length === 0) return [{ words: words.join(' '), command }]
  return command.commands.flatMap((child) => leaves(child, [...words, child.name()]))
}

function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
  return help
}

const CONTRACT = [
  'init',
  'serve',
  'hsm serve',
  'unseal',
  'status',
  'peer add ns',
  'peer add as',
  'peer set ns',
  'peer certificate add',
  'peer certificate remove',
  'peer token add',
  'peer token remove',
  'peer token list',
  'peer agreement add',
  'peer agreement remove',
  'peer agreement list',
  'peer list',
  'peer show',
  'peer disable',
  'peer remove',
  'certificate list',
  'certificate renew',
  'kek set',
  'kek list',
  'kek show',
  'kek remove',
  'device add',
  'device list',
  'device show',
  'device set',
  'device remove',
  'kit chirpstack',
  'kit the-things-stack',
  'kit test',
  'dns zone',
  'bridge init',
  'bridge check',
  'bridge run',
  'bridge downlink',
  'accept-rollback',
  'api-key create',
  'api-key list',
  'api-key show',
  'api-key revoke',
  'api-key remove',
]

describe('commands', () => {
  test('are those that others build on', () => {
    const names = leaves(program).map(({ words }) => words)
    expect(names).toEqual(expect.arrayContaining(CONTRACT))
  })

  test.each(leaves(program))('$words has a help with an example, and takes --data', ({ words, command }) => {
    const help = helpOf(command)
    expect(help).toMatch(/\nExamples?:\n {2}\S/)
    expect(help).toContain(`mortise ${words}`)
    // The demos and the benchmarks make throw-away directories of their own; who tests a kit, or runs a bridge, has no
    // installation.
    if (!/^(?:demo|kit test$|bench |bridge )/.test(words)) expect(help).toContain('--data <dir>')
  })

  test('have a version', async () => {
    const { code, stdout } = await mortise(['--version'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/) as string })
  })

  test('show their help with exit code 0', async () => {
    const { code, stdout } = await mortise(['device', 'add', '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain('--keys-file <file>')
  })
})

describe('wrong usage', () => {
  test.each([
    ['an unknown command', ['frobnicate']],
    ['a command that lacks its second word', ['device']],
    ['an unknown option', ['status', '--frobnicate']],
    ['a DevEUI that is none', ['device', 'show', '12']],
    ['a required option that is missing', ['peer', 'add', 'ns']],
  ])('is %s: exit code 2 and a hint', async (_what, words) => {
    const { code, stderr } = await mortise(words)
    expect(code).toBe(2)
    expect(stderr).toMatch(/mortise: error: .+\nmortise: hint: .+\n$/)
  })

  test('is told to a program as JSON', async () => {
    const { code, stderr } = await mortise(['device', 'show', '12', '--json'])
    expect(code).toBe(2)
    expect(JSON.parse(stderr)).toMatchObject({ code: 'usage', message: expect.stringContaining('DevEUI') as string })
  })

  test('names the directory that has no installation, also from MORTISE_DATA', async () => {
    const { code, stderr } = await mortise(['status', '--json'], { env: { MORTISE_DATA: '/nowhere/js' } })
    expect(code).toBe(1)
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'no_installation',
      message: expect.stringContaining('/nowhere/js') as string,
    })
  })
})
