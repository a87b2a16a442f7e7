import { randomBytes } from 'node:crypto'
import { chownSync, statSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { formatJoinEuiPrefix, type JoinEuiPrefix } from '@mortise/lorawan'
import { dataDirectory, routeKeyFile, type RouteView } from '@mortise/server'
import { openAdministration, refuseWithoutInstallation } from '../administration.ts'
import { CliError } from '../errors.ts'
import { httpsUrlOption, joinEuiPrefixOption } from '../identifiers.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { openOperator } from '../operator.ts'
import { asPath, type DataOptions, examples, type ServerOptions, withJson, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, table } from '../output.ts'
import { readPartnerFiles } from '../routes/partner-files.ts'
import { confirmDestruction } from '../terminal.ts'

interface RouteAddOptions extends DataOptions {
  readonly joinEui: JoinEuiPrefix
  /** Of the other join server. */
  readonly url: string
  readonly certificate: string
  readonly protocol: '1.0' | '1.1'
  readonly apiKeyFile?: string
  readonly operatorKeyFile?: string
}

interface RouteRemoveOptions extends ServerOptions {
  readonly joinEui: JoinEuiPrefix
  readonly yes?: boolean
}

const ID_BYTES = 16

export function registerRoute(program: Command): void {
  const route = program.command('route').description('other join servers, which are asked for JoinEUIs of theirs')
  examples(route, 'mortise route add --join-eui 70b3d57ed0000000/40 --url https://js.example.com/ --certificate ./js')
  registerAdd(route)
  registerList(route)
  registerRemove(route)
}

function registerAdd(route: Command): void {
  const command = withJson(route.command('add'))
    .description('ask another join server for devices that are not known here')
    .requiredOption('--join-eui <prefix/bits>', 'JoinEUIs that begin so', joinEuiPrefixOption)
    .requiredOption('--url <url>', 'the other join server, https', httpsUrlOption)
    .requiredOption('--certificate <dir>', 'directory with its cert.pem, key.pem and ca.pem for us', asPath)
    .addOption(
      new Option('--protocol <version>', 'Backend Interfaces that it speaks').choices(['1.0', '1.1']).default('1.0'),
    )
    .option('--api-key-file <file>', 'API key (default: api-key beside the operator key)', asPath)
    .option('--operator-key-file <file>', 'operator key (default: DIR/operator/operator-key.pem)', asPath)
    .action(addRoute)
  examples(
    command,
    'mortise route add --join-eui 70b3d57ed0000000/40 --url https://js.example.com/ --certificate ./js',
    'mortise route add --join-eui ec656e0000000000/24 --url https://js.example.com:8443/bi --certificate ./js --protocol 1.1',
  )
  command.addHelpText(
    'after',
    '\nThe other join server has to admit the certificate for the NetID of every network server that asks through it.\n' +
      'Run it where the server runs: the private key goes to DIR/routes.',
  )
}

async function addRoute({ url, certificate: directory, joinEui: prefix, ...options }: RouteAddOptions): Promise<void> {
  refuseWithoutInstallation(options.data)
  const { certificate, privateKey, authority } = readPartnerFiles(directory)
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  using created = new CreatedPaths()
  const routeId = randomBytes(ID_BYTES).toString('hex')
  // Before the order: the server looks for the key when it adopts the route.
  keepKey(options, routeId, privateKey, created)
  const { protocol } = options
  const order = await new OrderDesk(administration, operator).submit(
    [
      {
        action: 'route.add',
        route: routeId,
        ...prefix,
        ...{ url, protocol, certificate: certificate.fingerprint, authority: authority.fingerprint },
      },
    ],
    { certificates: Array.from(new Set([certificate.pem, authority.pem])), files: created },
  )
  created.keep()
  const { fingerprint, notAfter } = certificate
  report(
    options,
    { ...order, routeId, ...prefix, url, protocol, certificate: { fingerprint, notAfter } },
    () =>
      `Devices that are not known here are asked for at ${url} if their JoinEUI begins with ${formatJoinEuiPrefix(prefix)}; ` +
      `the certificate for it is valid until ${notAfter.slice(0, 10)}. ${outcome(order, administration)}`,
  )
}

/** The server's user has to read it, and to delete it with the route. */
function keepKey({ data }: DataOptions, routeId: string, privateKey: string, created: CreatedPaths): void {
  const directory = dataDirectory(data)
  const path = routeKeyFile(directory, routeId)
  created.directory(directory.routes)
  created.file(path, privateKey)
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(directory.root)
  for (const made of [directory.routes, path]) chownSync(made, uid, gid)
}

function registerList(route: Command): void {
  const command = withServer(route.command('list'))
    .description('list routes')
    .action(async (options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const routes = await administration.listRoutes()
      report(options, routes, () => {
        if (routes.length === 0) return 'There is no route: devices that are not known here are refused.'
        const rows = routes.map((one) => [
          formatJoinEuiPrefix(one),
          one.url,
          one.protocol,
          one.certificate.notAfter.slice(0, 10),
        ])
        return table(['JOINEUI', 'URL', 'PROTOCOL', 'CERTIFICATE UNTIL'], rows)
      })
    })
  examples(command, 'mortise route list', 'mortise route list --json')
}

function registerRemove(route: Command): void {
  const command = withServer(route.command('remove'))
    .description('ask another join server no more; its private key is deleted')
    .requiredOption('--join-eui <prefix/bits>', 'the JoinEUIs of the route', joinEuiPrefixOption)
    .option('--yes', 'do not ask')
    .action(async (options: RouteRemoveOptions) => {
      const operator = openOperator(options)
      await using administration = await openAdministration(options)
      const { routeId, url, joinEui, bits } = findRoute(await administration.listRoutes(), options.joinEui)
      await confirmDestruction(options.yes, `Remove the route to ${url}?`)
      const desk = new OrderDesk(administration, operator)
      const order = await desk.submit([{ action: 'route.remove', route: routeId, joinEui, bits }])
      report(
        options,
        { ...order, routeId },
        () => `${url} is asked no more for ${joinEui}/${bits}. ${outcome(order, administration)}`,
      )
    })
  examples(command, 'mortise route remove --join-eui 70b3d57ed0000000/40')
}

/** @throws CliError route_unknown */
function findRoute(routes: readonly RouteView[], prefix: JoinEuiPrefix): RouteView {
  const wanted = formatJoinEuiPrefix(prefix)
  const found = routes.find((route) => formatJoinEuiPrefix(route) === wanted)
  if (found !== undefined) return found
  throw new CliError('route_unknown', `there is no route for ${wanted}`, { hint: 'see `mortise route list`' })
}
