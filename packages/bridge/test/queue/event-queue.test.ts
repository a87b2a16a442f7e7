import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { DeviceAddresses } from '../../src/queue/index.ts'
import { codeOf } from '../errors.ts'
import { directory } from '../pipeline/scene.ts'
import { devEuiOf, idOf } from '../pipeline/world.ts'
import { append, event, open, waiting } from './open.ts'

describe('an event queue', () => {
  test('keeps events in the order in which they came, with their bytes, also when it is opened again', async () => {
    const path = directory()
    {
      await using queue = open(path, { now: () => 7 })
      const [a, b] = await Promise.all([append(queue, 'a'), append(queue, 'b')])
      expect(queue.read(a)).toEqual({
        event: { ...event('a'), body: new Uint8Array(event('a').body) },
        receivedAtMs: 7,
        delivered: 0,
      })
      expect(b).toBeGreaterThan(a)
      expect(queue.waitingAtStart).toEqual([])
    }
    await using again = open(path)
    expect(waiting(again)).toEqual(['network/a', 'network/b'])
    expect(again.events).toBe(2)
    expect(again.bytes).toBe(2 * (9 + 9))
    const later = await append(again, 'c')
    expect(later).toBeGreaterThan(Math.max(...again.waitingAtStart))
  })

  test('takes an event of an id that waits for a copy, in the same turn as well, until the first has gone', async () => {
    await using queue = open(directory())
    const both = await Promise.all([queue.append(idOf('a'), event('a')), queue.append(idOf('a'), event('a'))])
    expect(both).toEqual([1, 'copy'])
    expect(await queue.append(idOf('a'), event('a'))).toBe('copy')
    expect(queue.events).toBe(1)
    await queue.delivered(1, 1)
    expect(queue.events).toBe(0)
    expect(await queue.append(idOf('a'), event('a'))).not.toBe('copy')
  })

  test('has an event until every sink has it', async () => {
    const path = directory()
    await using queue = open(path, { sinks: ['one', 'two'] })
    const [one = 0, two = 0] = queue.sinkBits
    const seq = await append(queue, 'a')
    await queue.delivered(seq, one)
    expect(queue.read(seq)?.delivered).toBe(one)
    await queue.delivered(seq, one)
    expect(queue.events).toBe(1)
    await queue.delivered(seq, two)
    expect(queue.read(seq)).toBeUndefined()
    expect([queue.events, queue.bytes]).toEqual([0, 0])
    await queue.delivered(seq, two)
    expect(queue.events).toBe(0)
  })

  test('knows sinks by their names: a new one gets what waits, and one that has gone holds nothing up', async () => {
    const path = directory()
    {
      await using queue = open(path, { sinks: ['one', 'two'] })
      const [one = 0] = queue.sinkBits
      await append(queue, 'a')
      await queue.delivered(await append(queue, 'b'), one)
    }
    {
      await using queue = open(path, { sinks: ['two', 'one', 'three'] })
      const [two = 0, one = 0, three = 0] = queue.sinkBits
      expect(queue.waitingAtStart.map((seq) => queue.read(seq)?.delivered)).toEqual([0, one])
      expect(new Set([one, two, three]).size).toBe(3)
    }
    await using queue = open(path, { sinks: ['one'] })
    expect(waiting(queue)).toEqual(['network/a'])
  })

  test.each([
    ['events', { maxEvents: 2 }],
    ['bytes', { maxBytes: 2 * 18 + 1 }],
  ])(
    'refuses more than its limit of %s, also within a turn, says so, and goes on when there is room',
    async (_, limit) => {
      await using queue = open(directory(), limit)
      const codes = await Promise.all(['a', 'b', 'c'].map((name) => codeOf(() => append(queue, name))))
      expect(codes).toEqual([undefined, undefined, 'queue_full'])
      expect(await codeOf(() => append(queue, 'c'))).toBe('queue_full')
      await queue.delivered(1, 1)
      expect(queue.problem).toBeUndefined()
      expect(await codeOf(() => append(queue, 'c'))).toBeUndefined()
    },
  )

  test('says that it is full', async () => {
    await using queue = open(directory(), { maxEvents: 1 })
    expect(queue.problem).toBeUndefined()
    await append(queue, 'a')
    expect(queue.problem).toContain('full')
  })

  test('keeps where a device is to be reached, and tells it beside the bridge that runs', async () => {
    const path = directory()
    const [devEui, nobody] = [devEuiOf(1), devEuiOf(2)]
    await using queue = open(path)
    await queue.append(idOf('a'), event('a'), { devEui, address: 'first', profile: 'door' })
    expect(queue.addressOf(devEui)).toEqual({ address: 'first', profile: 'door' })
    await queue.append(idOf('b'), event('b'), { devEui, address: 'second' })
    using beside = new DeviceAddresses(path)
    expect(beside.addressOf(devEui)).toEqual({ address: 'second', profile: 'door' })
    expect(beside.addressOf(nobody)).toBeUndefined()
  })

  test('commits what is under way when it is closed, and takes nothing after', async () => {
    const path = directory()
    const queue = open(path)
    const appended = append(queue, 'a')
    await queue[Symbol.asyncDispose]()
    expect(await appended).toBe(1)
    expect(await codeOf(() => append(queue, 'b'))).toBe('queue_failed')
    await queue[Symbol.asyncDispose]()
    await using again = open(path)
    expect(waiting(again)).toEqual(['network/a'])
  })
})

describe('a data directory', () => {
  test('is for one bridge, and is free after it', async () => {
    const path = directory()
    {
      await using queue = open(path)
      expect(() => open(path)).toThrow(/Another bridge runs/)
      expect(await codeOf(() => open(path))).toBe('directory_in_use')
      expect(await append(queue, 'a')).toBe(1)
    }
    expect(
      await codeOf(async () => {
        await open(path)[Symbol.asyncDispose]()
      }),
    ).toBeUndefined()
  })

  test('and its files are for this user alone', async () => {
    const path = join(directory(), 'new')
    await using queue = open(path)
    await append(queue, 'a')
    const modes = ['', 'queue.db', 'queue.db-wal', 'bridge.lock'].map((name) => statSync(join(path, name)).mode & 0o777)
    expect(modes).toEqual([0o700, 0o600, 0o600, 0o600])
  })

  test('without a queue has no addresses', async () => {
    expect(await codeOf(() => new DeviceAddresses(directory()))).toBe('queue_unusable')
  })
})

describe('a queue file is refused, and what is wrong is said', () => {
  const prepared = async (): Promise<{ path: string; file: string }> => {
    const path = directory()
    await using queue = open(path)
    for (let n = 0; n < 50; n++) await append(queue, `event ${n}`)
    return { path, file: join(path, 'queue.db') }
  }
  const sql = (file: string, text: string): void => {
    const database = new DatabaseSync(file)
    database.exec(text)
    database.close()
  }

  test.each<[string, (file: string) => void, RegExp | undefined]>([
    ['that is as it was left', () => undefined, undefined],
    [
      'of a later release',
      (file) => {
        sql(file, 'PRAGMA user_version = 99')
      },
      /has version 99; this release knows 1/,
    ],
    [
      'of another program',
      (file) => {
        sql(file, 'PRAGMA application_id = 1')
      },
      /is another program's/,
    ],
    [
      'that is no database',
      (file) => {
        writeFileSync(file, 'no database '.repeat(100))
      },
      /cannot be used: file is not a database/,
    ],
    [
      'with a page that changed',
      (file) => {
        damage(file)
      },
      /is damaged|cannot be used/,
    ],
  ])('%s', async (_, change, says) => {
    const { path, file } = await prepared()
    change(file)
    const opening = async (): Promise<void> => {
      await open(path)[Symbol.asyncDispose]()
    }
    expect(await codeOf(opening)).toBe(says === undefined ? undefined : 'queue_unusable')
    if (says === undefined) return
    await expect(opening()).rejects.toThrow(says)
    expect(() => new DeviceAddresses(path).addressOf(devEuiOf(1))).toThrow()
  })

  test('and the lock is free again', async () => {
    const { path, file } = await prepared()
    sql(file, 'PRAGMA user_version = 99')
    expect(() => open(path)).toThrow(/version 99/)
    sql(file, 'PRAGMA user_version = 1')
    await using queue = open(path)
    expect(queue.events).toBe(50)
  })
})

function damage(file: string): void {
  const bytes = readFileSync(file)
  // The first page is the schema's; those behind it are the events'.
  bytes.fill(0x55, 4096, bytes.length)
  chmodSync(file, 0o600)
  writeFileSync(file, bytes)
}
