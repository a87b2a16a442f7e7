import { describe, expect, it } from 'vitest'
import { createMessageHandler } from '../../src/http/backend-interfaces/index.ts'
import { Metrics } from '../../src/http/metrics.ts'

function notReached(): never {
  throw new Error('a stranger reached a use-case')
}

/** Sends one message of a stranger for each type, and gives the counters that this leaves. */
async function countersAfter(messageTypes: readonly string[]): Promise<string[]> {
  const metrics = new Metrics()
  const handle = createMessageHandler({
    ...{ answerJoin: notReached, releaseAppSKey: notReached, findHomeNetwork: notReached, metrics },
    forward: () => undefined,
    refused: () => undefined,
  })
  const header = { ProtocolVersion: '1.0', SenderID: '000013', ReceiverID: '70b3d57ed0000000', TransactionID: 1 }
  for (const MessageType of messageTypes) {
    await handle('unknown', Buffer.from(JSON.stringify({ ...header, MessageType })))
  }
  return metrics
    .render()
    .split('\n')
    .filter((line) => line.startsWith('mortise_answers_total{'))
}

describe('counters of answered messages', () => {
  it('tell the served types apart', async () => {
    expect(await countersAfter(['JoinReq', 'JoinReq', 'AppSKeyReq'])).toEqual([
      'mortise_answers_total{message_type="JoinReq",result="UnknownSender"} 2',
      'mortise_answers_total{message_type="AppSKeyReq",result="UnknownSender"} 1',
    ])
  })

  it('take one label for all others: a stranger who makes types up must not fill the memory', async () => {
    const madeUp = Array.from(
      { length: 200 },
      (_, index) => `Type${String.fromCharCode(97 + (index % 26)).repeat(index % 60)}`,
    )
    expect(await countersAfter([...madeUp, '', 'x'.repeat(300)])).toEqual([
      'mortise_answers_total{message_type="other",result="Malformed"} 202',
    ])
  })
})
