export { createForward, type Forward, FORWARD_OUTCOMES, FORWARDED_HEADER, type ForwardOutcome } from './forward.ts'
export { tellLeftKeys } from './left-keys.ts'
export { changesRoutes, RouteTable } from './route-table.ts'
