import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Installation, ServerProcess } from './installation.ts'

/** What a server says to a caller that keeps to no rule. */
const QUIET_MS = 1000

/** Sends bytes over a new socket; what comes back until the other side closes, or says nothing for a second. */
export async function exchange(bytes: string | Buffer, open: () => Socket): Promise<string> {
  const socket = open()
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  socket.setTimeout(QUIET_MS, () => socket.destroy())
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.end(bytes)
  await closed
  return text
}

export interface ApiRequest {
  readonly method?: string
  readonly path: string
  /** The operator's API key without it. */
  readonly token?: string
  readonly body?: string
}

/** A request to the management API. */
export function askApi(
  server: ServerProcess,
  { data }: Installation,
  { method = 'GET', path, token = operatorsApiKey(data), body = '' }: ApiRequest,
): Promise<{ status: number; text: string }> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const ca = readFileSync(join(data, 'ca.pem'))
  return new Promise((resolve, reject) => {
    const sent = request(`${server.apiUrl}${path}`, { method, ca, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

function operatorsApiKey(data: string): string {
  return readFileSync(join(data, 'operator', 'api-key'), 'utf8').trim()
}
