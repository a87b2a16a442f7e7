import { expect, test } from 'vitest'
import { boundaryEnvironment } from '../../src/process/environment.ts'

test('a process of the trust boundary inherits what configures a PKCS#11 module, and nothing that configures Node', () => {
  const kept = { PATH: '/usr/bin', SOFTHSM2_CONF: '/etc/softhsm2.conf', LANG: 'C', PKCS11SPY: '/x.so', MY_NODE_: '1' }
  const left = {
    NODE_OPTIONS: '--inspect',
    NODE_V8_COVERAGE: '/tmp',
    NODE_DEBUG: 'tls',
    NODE_EXTRA_CA_CERTS: '/x.pem',
    SSLKEYLOGFILE: '/tmp/keys',
  }
  expect(boundaryEnvironment({ ...kept, ...left })).toEqual(kept)
})
