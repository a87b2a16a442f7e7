import { type Authorization, authorizationHeader, isAuthorizationHeader } from '@mortise/backend-interfaces'
import type { NamedToken } from '@mortise/hsm'
import { hashSecret, newToken } from '@mortise/server'
import { type Command, Option } from 'commander'
import { usageError } from '../errors.ts'
import { requireParent } from '../files.ts'
import type { CreatedPaths } from '../init/created-paths.ts'
import { asPath, parsedBy } from '../options.ts'

/** `bearer`, `basic`, or the name of a header that has the token as its whole value. */
export interface TokenOptions {
  readonly token?: string
  readonly tokenAs?: string
}

/** What `--token-as` takes: a scheme of the header Authorization, or another header that may say who asks. */
export const tokenAsOption = parsedBy(
  parseTokenAs,
  'bearer, basic, or the name of an HTTP header that does not say how a message is sent',
)

/** Adds how a peer's token comes about; `isMandatory` where nothing else stands in its place. */
export function withToken(command: Command, isMandatory = false): Command {
  const description = 'make a token: this file (0600) gets the header that the peer is to send'
  return command
    .addOption(new Option('--token <file>', description).argParser(asPath).makeOptionMandatory(isMandatory))
    .option('--token-as <how>', 'bearer (default), basic, or the name of a header of its own', tokenAsOption)
}

/**
 * Makes a token and writes the whole line of its header into a file, and nowhere else. Returns what may be known of it.
 * @throws CliError usage, directory_missing, file_exists
 */
export function writeToken(id: string, path: string, { tokenAs }: TokenOptions, created: CreatedPaths): NamedToken {
  requireParent(path)
  const { name, value } = makeHeader(id, tokenAs ?? 'bearer')
  created.file(path, `${name}: ${value}\n`)
  return { token: hashSecret(value).toString('hex'), header: name.toLowerCase() }
}

/** What is to be done with the file. */
export function describeTokenFile(path: string): string {
  return `Give its operator ${path}, on a way that nobody else can read: whoever has that line is the peer.`
}

/** `authorization 3f3f3f3f3f3f3f3f…` */
export function shortToken({ header, digest }: { readonly header: string; readonly digest: string }): string {
  return `${header} ${digest.slice(0, 16)}…`
}

function makeHeader(id: string, tokenAs: string): { name: string; value: string } {
  const authorization = authorizationOf(id, tokenAs)
  const [value] = Object.values(authorizationHeader(authorization))
  if (value === undefined) throw new TypeError('a header has a value')
  return { name: authorization.kind === 'header' ? authorization.name : 'Authorization', value }
}

function authorizationOf(id: string, tokenAs: string): Authorization {
  const token = newToken()
  if (tokenAs === 'bearer') return { kind: 'bearer', token }
  if (tokenAs !== 'basic') return { kind: 'header', name: tokenAs, value: token }
  if (id.includes(':'))
    throw usageError(`${id} has a colon, which ends the user name of HTTP Basic`, 'take --token-as bearer')
  return { kind: 'basic', username: id, password: token }
}

function parseTokenAs(text: string): string {
  const scheme = text.toLowerCase()
  if (scheme === 'bearer' || scheme === 'basic') return scheme
  if (!isAuthorizationHeader(text)) throw new RangeError('not a header for this')
  return text
}
