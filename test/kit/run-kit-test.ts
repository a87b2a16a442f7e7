import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ServerProcess } from '../support/installation.ts'

const MORTISE = fileURLToPath(new URL('../../packages/cli/bin/mortise', import.meta.url))

/** What `mortise kit test --json` says of one thing. */
export interface CheckView {
  readonly name: string
  readonly status: 'ok' | 'wrong' | 'skipped'
  readonly detail: string
  readonly remedy?: string
}

export interface KitReport {
  readonly ok: boolean
  readonly code: number
  readonly checks: readonly CheckView[]
}

export interface Transcript {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** `mortise kit test` as the operator of a network server runs it: with a kit, and without an installation. */
export function runKitTest(kit: string, options: readonly string[], environment = {}): Promise<Transcript> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...environment }
    execFile(process.execPath, [MORTISE, 'kit', 'test', '--kit', kit, ...options], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr })
    })
  })
}

/** The same for a program, whatever comes of it. */
export async function kitTest(kit: string, options: readonly string[] = [], environment = {}): Promise<KitReport> {
  const { code, stdout, stderr } = await runKitTest(kit, [...options, '--json'], environment)
  if (stdout === '') throw new Error(stderr)
  return { code, ...(JSON.parse(stdout) as Omit<KitReport, 'code'>) }
}

export function wrongChecks({ checks }: Pick<KitReport, 'checks'>): readonly CheckView[] {
  return checks.filter(({ status }) => status === 'wrong')
}

/** Of the Backend Interfaces listener. */
export function portOf(server: ServerProcess): number {
  return Number(new URL(server.biUrl).port)
}
