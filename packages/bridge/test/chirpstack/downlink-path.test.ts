import deviceGrpc from '@chirpstack/chirpstack-api/api/device_grpc_pb.js'
import devicePb from '@chirpstack/chirpstack-api/api/device_pb.js'
import { Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js'
import { parseDevAddr, parseDevEui } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import { ChirpStackDownlinks } from '../../src/chirpstack/index.ts'
import type { SealedDownlink } from '../../src/source.ts'
import { TestCertificate } from '../certificates.ts'
import { EXAMPLE } from '../owner.ts'

const DEV_EUI = parseDevEui(EXAMPLE.devEui)
const TOKEN = Buffer.from('planted-api-token')

const SEALED: SealedDownlink = {
  devEui: DEV_EUI,
  devAddr: parseDevAddr(EXAMPLE.devAddr),
  session: 'session' as SealedDownlink['session'],
  fPort: 2,
  fCnt: 4_294_967_295,
  frmPayload: Buffer.from('028de1ec', 'hex'),
  confirmed: true,
  address: `application/1/device/${EXAMPLE.devEui} ${EXAMPLE.devAddr}`,
}

interface Answers {
  readonly error?: Partial<ServiceError> | undefined
  readonly silent?: boolean
}

/** ChirpStack's DeviceService, as far as downlinks go, on a real gRPC server. */
async function chirpStack(answers: Answers = {}, certificate?: TestCertificate) {
  const queue: devicePb.DeviceQueueItem.AsObject[] = []
  const server = new Server()
  const handle = <Request, Answer>(answer: (request: Request) => Answer) => {
    return (
      call: { request: Request; metadata: { get(name: string): unknown[] } },
      done: (error: Partial<ServiceError> | null, answer?: Answer) => void,
    ) => {
      if (answers.silent === true) return
      if (answers.error !== undefined) done(answers.error)
      else if (call.metadata.get('authorization')[0] !== `Bearer ${TOKEN.toString()}`)
        done({ code: status.UNAUTHENTICATED, details: 'no token' })
      else done(null, answer(call.request))
    }
  }
  server.addService(
    {
      enqueue: deviceGrpc.DeviceServiceService.enqueue,
      getNextFCntDown: deviceGrpc.DeviceServiceService.getNextFCntDown,
    },
    {
      enqueue: handle((request: devicePb.EnqueueDeviceQueueItemRequest) => {
        queue.push(request.getQueueItem()!.toObject())
        return new devicePb.EnqueueDeviceQueueItemResponse()
      }),
      getNextFCntDown: handle((request: devicePb.GetDeviceNextFCntDownRequest) => {
        const answer = new devicePb.GetDeviceNextFCntDownResponse()
        answer.setFCntDown(request.getDevEui() === EXAMPLE.devEui ? 41 : 0)
        return answer
      }),
    },
  )
  const credentials =
    certificate === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(null, [{ cert_chain: certificate.cert, private_key: certificate.key }])
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return {
    queue,
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    [Symbol.dispose]: () => {
      server.forceShutdown()
    },
  }
}

describe('downlinks to ChirpStack', () => {
  test('are queued as sealed, under their counter', async () => {
    using network = await chirpStack()
    await using path = new ChirpStackDownlinks({ url: network.url, token: TOKEN })
    expect(await path.nextFCntDown(DEV_EUI)).toBe(41)
    await path.send(SEALED)
    expect(network.queue).toEqual([
      {
        id: '',
        devEui: EXAMPLE.devEui,
        confirmed: true,
        fPort: 2,
        data: 'Ao3h7A==',
        object: undefined,
        isPending: false,
        fCntDown: 4_294_967_295,
        isEncrypted: true,
        expiresAt: undefined,
      },
    ])
  })

  test('go by TLS to a server that the CA signed', async () => {
    using certificate = new TestCertificate()
    using network = await chirpStack({}, certificate)
    await using path = new ChirpStackDownlinks({ url: network.url, token: TOKEN, ca: certificate.cert })
    await path.send(SEALED)
    expect(network.queue).toHaveLength(1)
    await using wrong = new ChirpStackDownlinks({ url: network.url, token: TOKEN })
    await expect(wrong.send(SEALED)).rejects.toMatchObject({ code: 'downlink_unknown' })
    expect(network.queue).toHaveLength(1)
  })

  test('are refused without the token', async () => {
    using network = await chirpStack()
    await using path = new ChirpStackDownlinks({ url: network.url })
    await expect(path.send(SEALED)).rejects.toMatchObject({
      code: 'downlink_refused',
      message: 'ChirpStack: UNAUTHENTICATED: no token',
    })
    await expect(path.nextFCntDown(DEV_EUI)).rejects.toMatchObject({ code: 'downlink_refused' })
  })

  test.each([
    [status.INVALID_ARGUMENT, 'downlink_refused'],
    [status.NOT_FOUND, 'downlink_refused'],
    [status.FAILED_PRECONDITION, 'downlink_refused'],
    [status.PERMISSION_DENIED, 'downlink_refused'],
    [status.INTERNAL, 'downlink_unknown'],
    [status.UNKNOWN, 'downlink_unknown'],
    [status.UNAVAILABLE, 'downlink_unknown'],
    [status.ABORTED, 'downlink_unknown'],
    [status.RESOURCE_EXHAUSTED, 'downlink_unknown'],
  ])('that end with gRPC status %d: %s', async (code, expected) => {
    using network = await chirpStack({ error: { code, details: 'said\nso' } })
    await using path = new ChirpStackDownlinks({ url: network.url, token: TOKEN })
    const error: unknown = await path.send(SEALED).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: expected })
    expect(String(error)).toContain('said?so')
  })

  test('to nobody: what became of them is not known', async () => {
    await using path = new ChirpStackDownlinks({ url: 'http://127.0.0.1:9', token: TOKEN })
    const error: unknown = await path.send(SEALED).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'downlink_unknown' })
    expect(String(error)).not.toContain(TOKEN.toString())
  })

  test('for a session that the network has replaced are refused', async () => {
    using network = await chirpStack()
    await using path = new ChirpStackDownlinks({ url: network.url, token: TOKEN })
    await expect(path.send({ ...SEALED, devAddr: parseDevAddr('26012e44') })).rejects.toMatchObject({
      code: 'downlink_refused',
    })
    expect(network.queue).toEqual([])
    await path.send(SEALED)
    expect(network.queue).toHaveLength(1)
  })

  test.each([
    ['no TLS to another machine', { url: 'http://192.0.2.1:8080' }],
    ['another scheme', { url: 'grpc://127.0.0.1:8080' }],
    ['a path', { url: 'https://127.0.0.1:8080/api' }],
    ['a token with a line break', { url: 'http://127.0.0.1:8080', token: Buffer.from('a\nb') }],
  ])('have no way with %s', async (_what, address) => {
    expect(() => new ChirpStackDownlinks(address)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    await new ChirpStackDownlinks({ url: 'http://127.0.0.1:8080' })[Symbol.asyncDispose]()
  })
})
