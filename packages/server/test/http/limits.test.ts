import { describe, expect, it } from 'vitest'
import {
  ADMISSION_LIMITS,
  BACKEND_INTERFACES_LIMITS,
  MANAGEMENT_API_LIMITS,
  serverLimits,
} from '../../src/http/limits.ts'

describe('limits of the listeners', () => {
  it('are the wanted ones where the process may open enough files', () => {
    const limits = serverLimits(65_536)
    expect(limits).toEqual({
      backendInterfaces: BACKEND_INTERFACES_LIMITS,
      managementApi: MANAGEMENT_API_LIMITS,
      admission: ADMISSION_LIMITS,
      lowered: undefined,
    })
    expect(serverLimits(Infinity)).toEqual(limits)
  })

  it.each([20_000, 4096, 1024, 600, 256, 64])(
    'leave room beside the connections where it may open %d',
    (descriptors) => {
      const { backendInterfaces, managementApi, admission, lowered } = serverLimits(descriptors)
      const rest = descriptors - backendInterfaces.connections - managementApi.connections
      expect(rest).toBeGreaterThanOrEqual(Math.min(256, descriptors / 4))
      expect(backendInterfaces.connections).toBeGreaterThan(descriptors / 2)
      expect(managementApi.connections).toBeGreaterThan(0)
      expect(admission.messages).toBeLessThanOrEqual(admission.mostMessages)
      expect(admission.leastMessages).toBeLessThanOrEqual(admission.messages)
      expect(admission.leastMessages).toBeGreaterThan(0)
      expect(lowered).toContain(
        `at most ${backendInterfaces.connections} Backend Interfaces connections instead of ${BACKEND_INTERFACES_LIMITS.connections}`,
      )
      expect(lowered).toContain(`only ${descriptors} files`)
    },
  )

  it.each([Infinity, 20_000, 1024, 600, 256, 64])(
    'keep some connections that can make room where it may open %d',
    (descriptors) => {
      const { backendInterfaces, managementApi, admission } = serverLimits(descriptors)
      // Both bounds may be reached twice over; of less than eight, one handshake and its double are more than a quarter.
      for (const { connections, handshakes } of [backendInterfaces, managementApi])
        expect(2 * handshakes).toBeLessThanOrEqual(Math.max(2, connections / 4))
      expect(2 * admission.mostMessages).toBeLessThanOrEqual(backendInterfaces.connections / 2)
      expect(backendInterfaces.strangers).toBeLessThanOrEqual(backendInterfaces.connections / 4)
    },
  )

  it('are derived from what this very process may open', () => {
    const { backendInterfaces } = serverLimits()
    expect(backendInterfaces.connections).toBeGreaterThan(0)
    expect(backendInterfaces.connections).toBeLessThanOrEqual(BACKEND_INTERFACES_LIMITS.connections)
  })
})
