import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { parse } from 'yaml'

export interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  examples?: unknown[]
}

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  schema: Schema
}

export interface Operation {
  id: string
  method: 'GET' | 'POST' | 'DELETE'
  /** With `{name}` for parameters. */
  path: string
  parameters: Parameter[]
  /** Schema and example of the JSON body; absent: the operation takes none. */
  body?: { schema: Schema; example: Record<string, unknown>; types: string[] }
  /** Content types that each status may have, `''` for no body. */
  answers: ReadonlyMap<number, readonly string[]>
  /** What is wrong with the JSON of an answer; `undefined`: nothing. */
  fault(status: number, json: unknown): string | undefined
  /** Whether a path (without query) is one of this operation. */
  matches(method: string, path: string): boolean
}

interface Media {
  schema?: Schema
  example?: Record<string, unknown>
}

/** The published document, as what requests are made of and answers are held against. */
export function readDocument(): { operations: Operation[]; errorFault(json: unknown): string | undefined } {
  const document = parse(readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8'))
  // Fields beyond the document are the gateway's business; `additionalProperties` says so where they are not.
  const ajv = new Ajv2020({ strict: false, allErrors: false })
  addFormats.default(ajv)
  ajv.addFormat('binary', true)
  ajv.addSchema({ $id: 'openapi', components: document.components })
  const local = (schema: Schema): Schema =>
    JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"openapi#/components/'))
  const resolved = (schema: Schema): Schema =>
    schema.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1) ?? '']
  const faultOf = (validate: ValidateFunction) => (json: unknown) =>
    validate(json) ? undefined : ajv.errorsText(validate.errors, { dataVar: 'answer' })

  const operations: Operation[] = []
  for (const [path, methods] of Object.entries<Record<string, never>>(document.paths)) {
    const pattern = new RegExp(`^${path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/?#;]+')}$`)
    for (const [method, operation] of Object.entries<Record<string, never>>(methods)) {
      const {
        operationId,
        parameters = [],
        requestBody,
        responses
      } = operation as unknown as {
        operationId: string
        parameters?: Parameter[]
        requestBody?: { content: Record<string, Media> }
        responses: Record<string, { content?: Record<string, Media> }>
      }
      const validators = new Map<string, (json: unknown) => string | undefined>()
      for (const [status, { content }] of Object.entries(responses)) {
        const schema = content?.['application/json']?.schema
        if (schema !== undefined) validators.set(status, faultOf(ajv.compile(local(schema))))
      }
      const json = requestBody?.content['application/json']
      const schema = json?.schema && resolved(json.schema)
      operations.push({
        id: operationId,
        method: method.toUpperCase() as Operation['method'],
        path,
        parameters,
        body: schema && {
          schema,
          example: json?.example ?? (schema.examples?.[0] as Record<string, unknown>),
          types: Object.keys(requestBody?.content ?? {})
        },
        answers: new Map(
          Object.entries(responses).map(([status, { content }]) => [
            Number(status),
            Object.keys(content ?? { '': {} })
          ])
        ),
        fault: (status, answer) => validators.get(String(status))?.(answer),
        matches: (asked, at) => asked === method.toUpperCase() && pattern.test(at)
      })
    }
  }
  return { operations, errorFault: faultOf(ajv.compile({ $ref: 'openapi#/components/schemas/Error' })) }
}

/** The types that a schema allows, as JSON names them. */
export function typesOf({ type, anyOf, enum: values }: Schema): string[] {
  if (anyOf !== undefined) return anyOf.flatMap(typesOf)
  if (type === undefined) return [...new Set(values?.map((value) => typeof value) ?? [])]
  return [type].flat()
}
