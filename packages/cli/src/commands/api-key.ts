import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { CliError, usageError } from '../errors.ts'
import { requireParent } from '../files.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { asPath, examples, type ServerOptions, withServer } from '../options.ts'
import { report, table } from '../output.ts'
import type { ApiKeyView } from '@mortise/server'

interface CreateOptions extends ServerOptions {
  readonly name?: string
  readonly out?: string
}

export function registerApiKey(program: Command): void {
  const apiKey = program.command('api-key').description('keys that let programs ask the management API')
  examples(apiKey, 'mortise api-key create monitoring --out ./monitoring.key', 'mortise api-key list')
  registerCreate(apiKey)
  registerList(apiKey)
  registerShow(apiKey)
  registerRevoke(apiKey, 'revoke')
  registerRevoke(apiKey, 'remove')
}

function registerCreate(apiKey: Command): void {
  const command = withServer(apiKey.command('create'))
    .description('make an API key; its token is shown once')
    .argument('[name]', 'what it is for')
    .option('--name <name>', 'what it is for, as an option')
    .option('--out <file>', 'write the token to this file (0600) instead of showing it', asPath)
    .action(async (argument: string | undefined, options: CreateOptions) => {
      const name = argument ?? options.name
      if (name === undefined) throw usageError('an API key needs a name', 'mortise api-key create NAME')
      if (options.out !== undefined) requireParent(options.out)
      await using administration = await openAdministration(options)
      using created = new CreatedPaths()
      // Before the key exists: a token that could not be written would be lost.
      if (options.out !== undefined) created.file(options.out, '')
      const { apiKeyId, token } = await administration.createApiKey(name)
      if (options.out === undefined) {
        report(options, { apiKeyId, name, token }, () => `API key ${apiKeyId} (${name}), shown this once:\n${token}`)
        return
      }
      created[Symbol.dispose]()
      created.file(options.out, `${token}\n`)
      created.keep()
      report(
        options,
        { apiKeyId, name, file: options.out },
        () => `API key ${apiKeyId} (${name}) is in ${options.out ?? ''}.`,
      )
    })
  examples(command, 'mortise api-key create monitoring', 'mortise api-key create monitoring --out ./monitoring.key')
}

function registerList(apiKey: Command): void {
  const command = withServer(apiKey.command('list'))
    .description('list API keys; never their tokens')
    .action(async (options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const keys = await administration.listApiKeys()
      report(options, keys, () => {
        const rows = keys.map((key) => [key.apiKeyId, key.name, key.createdAt, stateOf(key)])
        return table(['ID', 'NAME', 'MADE', 'STATE'], rows)
      })
    })
  examples(command, 'mortise api-key list', 'mortise api-key list --json')
}

function registerShow(apiKey: Command): void {
  const command = withServer(apiKey.command('show'))
    .description('show an API key; never its token')
    .argument('<key>', 'id or name')
    .action(async (name: string, options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const found = findKey(await administration.listApiKeys(), name)
      report(
        options,
        found,
        () => `API key ${found.apiKeyId} (${found.name}), made ${found.createdAt}: ${stateOf(found)}`,
      )
    })
  examples(command, 'mortise api-key show monitoring')
}

function registerRevoke(apiKey: Command, word: 'revoke' | 'remove'): void {
  const command = withServer(apiKey.command(word))
    .description(
      word === 'revoke' ? 'let an API key in no more' : 'the same as revoke: a key that was used stays listed',
    )
    .argument('<key>', 'id or name')
    .action(async (name: string, options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const usable = (await administration.listApiKeys()).filter(({ revokedAt }) => revokedAt === undefined)
      const { apiKeyId, name: keyName } = findKey(usable, name)
      if (!(await administration.revokeApiKey(apiKeyId))) throw unknownKey(name)
      report(options, { apiKeyId, revoked: true }, () => `API key ${apiKeyId} (${keyName}) is revoked.`)
    })
  examples(command, `mortise api-key ${word} monitoring`)
}

function stateOf({ revokedAt }: ApiKeyView): string {
  return revokedAt === undefined ? 'active' : `revoked ${revokedAt}`
}

/** @throws CliError api_key_unknown, api_key_ambiguous */
function findKey(keys: readonly ApiKeyView[], name: string): ApiKeyView {
  const [key, other] = keys.filter(({ apiKeyId, name: keyName }) => apiKeyId === name || keyName === name)
  if (key === undefined) throw unknownKey(name)
  if (other !== undefined)
    throw new CliError('api_key_ambiguous', `${name} names more than one API key`, {
      hint: 'give the id that `mortise api-key list` shows',
    })
  return key
}

function unknownKey(name: string): CliError {
  return new CliError('api_key_unknown', `there is no usable API key ${name}`, { hint: 'see `mortise api-key list`' })
}
