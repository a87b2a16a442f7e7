import type { SwaggerOptions } from '@fastify/swagger'
import { createJsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { VERSION } from '../../kms/index.ts'

const INFO = {
  title: 'Mortise management API',
  version: VERSION,
  description:
    'What an operator can do and see. Whatever changes keys, recipients or peers is an order signed by the operator key; an API key alone cannot do it.',
}

/** How the OpenAPI document is made from the schemas that requests and answers are checked with. */
export const OPENAPI_OPTIONS: SwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: INFO,
    components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
    security: [{ apiKey: [] }],
  },
  transform: createJsonSchemaTransform({ skipList: [] }),
  transformObject: (document) => {
    const described = jsonSchemaTransformObject(document)
    // Every named schema comes in two forms; nobody sends a problem.
    if ('components' in described && described.components.schemas) delete described.components.schemas['ProblemInput']
    return described
  },
}
