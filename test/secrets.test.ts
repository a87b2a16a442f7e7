import { afterAll, beforeAll, describe, expect } from 'vitest'
import { dumpTests } from './leaks/dumps.ts'
import { failureTests } from './leaks/failures.ts'
import { placesTests } from './leaks/places.ts'
import { spiedCallsTests } from './leaks/spied-calls.ts'
import { BACKENDS } from './support/installation.ts'
import { SecretScene } from './support/secret-scene.ts'

const SCENE_TIMEOUT_MS = 120_000

/**
 * No secret leaves the HSM process: not through memory of the server, files, sockets, PKCS#11, logs, answers, command lines
 * or environments, when all goes well and when it does not. The tests of a scene build on one another, in this order.
 */
describe.each(BACKENDS)('secrets, %s:', (backend) => {
  let scene: SecretScene
  const theScene = (): SecretScene => scene

  beforeAll(async () => {
    scene = await SecretScene.play(backend)
    // Four storage keys, PIN, two KEKs, four root keys, six AppSKeys, four of the operator; five of each network.
    expect([scene.secrets.size, scene.clear.size]).toEqual([26, 5])
  }, SCENE_TIMEOUT_MS)
  afterAll(() => scene[Symbol.asyncDispose]())

  placesTests(theScene)
  if (backend === 'pkcs11') spiedCallsTests(theScene)
  describe('a failure tells none:', () => {
    failureTests(theScene)
  })
  dumpTests(theScene)
})
