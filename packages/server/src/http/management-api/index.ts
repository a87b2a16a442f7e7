export { createManagementApi, type ManagementApi, type ManagementApiOptions } from './management-api.ts'
export { PROBLEM_MEDIA_TYPE, type Problem } from './problems.ts'
