import { lifeTests } from './life.ts'

lifeTests('soft')
