import { setTimeout as delay } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import type { PeerCommand, PeerReport, PeerStart, StopCommand } from './peer-messages.ts'
import { type WireAnswer, WireConnection, type WireTarget } from './wire-connection.ts'

/** A process that plays a network server with many connections; told what to do over the channel of its parent. */

/** Handshakes at a time: a server that is overrun refuses them, and one that may open few files has places for few. */
const HANDSHAKES = 16

let target: WireTarget | undefined
let connections: WireConnection[] = []
let answers: Record<string, number> = {}
let flooding = false

function start({ host, port, localAddress, ca, cert, key }: PeerStart): void {
  target = { host, port, localAddress, ca, secureContext: createSecureContext({ ca, cert, key }) }
}

async function open(count: number, requests: number, body: string): Promise<void> {
  let left = count
  await Promise.all(
    Array.from({ length: HANDSHAKES }, async () => {
      while (left-- > 0) await openOne(requests, body)
    }),
  )
}

async function openOne(requests: number, body: string): Promise<void> {
  if (target === undefined) throw new Error('not started')
  const connection = await WireConnection.open(target)
  if (connection === undefined) {
    count('refused connection')
    return
  }
  connections.push(connection)
  for (let i = 0; i < requests; i++) count(resultOf(await connection.post(body)))
}

async function touch(body: string): Promise<void> {
  await Promise.all(
    connections.map(async (connection) => {
      count(resultOf(await connection.post(body)))
    }),
  )
}

async function flood(body: string, pauseMs: number): Promise<void> {
  flooding = true
  await Promise.all(
    connections.map(async (connection) => {
      while (flooding && !connection.closed) {
        const result = resultOf(await connection.post(body))
        count(result)
        if (result !== 'Success') await delay(pauseMs)
      }
    }),
  )
}

function close(): void {
  for (const connection of connections) connection.destroy()
  connections = []
}

function resultOf(answer: WireAnswer | undefined): string {
  if (answer === undefined) return 'none'
  return /"ResultCode":"(\w+)"/.exec(answer.body)?.[1] ?? String(answer.status)
}

function count(result: string): void {
  answers[result] = (answers[result] ?? 0) + 1
}

async function obey(command: PeerCommand): Promise<PeerReport> {
  answers = {}
  if (command.do === 'start') start(command)
  if (command.do === 'open') await open(command.connections, command.requests, command.body)
  if (command.do === 'touch') await touch(command.body)
  if (command.do === 'flood') await flood(command.body, command.pauseMs)
  if (command.do === 'close') close()
  return { open: connections.filter(({ closed }) => !closed).length, answers }
}

process.on('message', (command: PeerCommand | StopCommand) => {
  if (command.do === 'stop') {
    flooding = false
    return
  }
  obey(command).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit(0))
