import { readFileSync } from 'node:fs'
import { get } from 'node:https'
import { join } from 'node:path'
import type { Installation, ServerProcess } from './installation.ts'

/** What the management API answers, as those see it who watch a server. */
export interface Answer {
  readonly status: number
  readonly body: string
}

export function ask(server: ServerProcess, installation: Installation, path: string, apiKey = ''): Promise<Answer> {
  const ca = readFileSync(join(installation.data, 'ca.pem'))
  const headers = apiKey === '' ? {} : { Authorization: `Bearer ${apiKey}` }
  return new Promise((resolve, reject) => {
    get(`${server.apiUrl}${path}`, { ca, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
      })
    }).on('error', reject)
  })
}
