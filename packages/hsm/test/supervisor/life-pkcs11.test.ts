import { lifeTests } from './life.ts'

lifeTests('pkcs11')
