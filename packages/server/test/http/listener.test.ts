import { once } from 'node:events'
import { Agent, request } from 'node:https'
import { expect, it } from 'vitest'
import { createListener } from '../../src/http/backend-interfaces/index.ts'
import { PeerDirectory } from '../../src/identity/index.ts'
import { makeCertificate } from '../support/certificates.ts'

it('answers what is in flight when it closes, and does not wait for a peer that would keep its connection', async () => {
  const certificate = makeCertificate('localhost')
  const { promise: answer, resolve: giveAnswer } = Promise.withResolvers<{ status: number; body: string }>()
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<undefined>()
  const listener = createListener({
    tls: certificate,
    peers: new PeerDirectory({ listPeers: () => [] }),
    handle: () => {
      isAsked(undefined)
      return answer
    },
    paths: [],
    failed: (error) => {
      throw error
    },
  })
  const { port } = await listener.listen('127.0.0.1', 0)
  using agent = asDisposable(new Agent({ keepAlive: true, ca: certificate.cert }))
  const sent = request({ host: '127.0.0.1', port, method: 'POST', agent })
  const responded = once(sent, 'response')
  sent.end('{}')
  await asked
  const closed = listener.close()
  giveAnswer({ status: 200, body: '{"answered":true}' })
  const [response] = (await responded) as [AsyncIterable<Buffer>]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  expect(Buffer.concat(chunks).toString()).toBe('{"answered":true}')
  const started = performance.now()
  await closed
  // Where the connection was kept, the limit of eight seconds would have ended it.
  expect(performance.now() - started).toBeLessThan(7000)
})

function asDisposable(agent: Agent): Agent & Disposable {
  return Object.assign(agent, {
    [Symbol.dispose]() {
      agent.destroy()
    },
  })
}
