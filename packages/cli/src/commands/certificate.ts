import type { Command } from 'commander'
import type { InstalledCertificateView } from '@mortise/server'
import { openAdministration } from '../administration.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { counted, report } from '../output.ts'
import { registerRenew } from './certificate-renew.ts'

const DAY_MS = 86_400_000

export function registerCertificate(program: Command): void {
  const certificate = program.command('certificate').description('certificates of the server, its CA and its peers')
  examples(certificate, 'mortise certificate list', 'mortise certificate renew')
  registerList(certificate)
  registerRenew(certificate)
}

function registerList(certificate: Command): void {
  const command = withServer(certificate.command('list'))
    .description('list every certificate and how long it is good for')
    .action(async (options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const certificates = await administration.listCertificates()
      report(options, certificates, () => certificates.map(describe).join('\n'))
    })
  examples(command, 'mortise certificate list', 'mortise certificate list --json')
}

function describe(certificate: InstalledCertificateView): string {
  const { kind, id, isAuthority, subject, names, fingerprint, notBefore, notAfter } = certificate
  return [
    `${isAuthority && kind !== 'ca' ? 'CA of ' : ''}${kind} ${id}: ${describeState(certificate)}`,
    `  subject      ${subject}`,
    ...(names.length === 0 ? [] : [`  names        ${names.join(', ')}`]),
    `  fingerprint  ${fingerprint}`,
    `  valid        ${notBefore} to ${notAfter}`,
  ].join('\n')
}

function describeState({ state, notBefore, notAfter }: InstalledCertificateView): string {
  if (state === 'expired') return `WARNING: expired on ${notAfter.slice(0, 10)}`
  if (state === 'not-yet-valid') return `WARNING: not valid before ${notBefore.slice(0, 10)}`
  const left = counted(Math.floor((Date.parse(notAfter) - Date.now()) / DAY_MS), 'day')
  return state === 'ends-soon' ? `WARNING: ${left} left` : `${left} left`
}
