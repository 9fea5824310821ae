import { isRecord, type JsonRecord, text } from '../shared/json.ts';
import { Inline } from './prose.tsx';

type SchemaProps = {
  readonly schema: JsonRecord;
  readonly schemas: JsonRecord;
};

/** What deeper levels hold is the same again, or nobody reads it here. */
const MAX_DEPTH = 6;

/** The fields of a schema, those of objects inside it to be opened. */
export function SchemaView({ schema, schemas }: SchemaProps) {
  return <Fields schema={schema} schemas={schemas} depth={0} />;
}

function Fields({ schema, schemas, depth }: SchemaProps & { readonly depth: number }) {
  const resolved = resolve(schema, schemas);
  const required = Array.isArray(resolved.required) ? resolved.required : [];
  const properties = isRecord(resolved.properties) ? Object.entries(resolved.properties) : [];
  if (properties.length === 0) {
    return (
      <p className="type-line">
        <code>{typeName(resolved, schemas)}</code>
      </p>
    );
  }
  return (
    <ul className="fields">
      {properties.map(([name, property]) => (
        <Field
          key={name}
          name={name}
          schema={isRecord(property) ? property : {}}
          schemas={schemas}
          isRequired={required.includes(name)}
          depth={depth}
        />
      ))}
    </ul>
  );
}

type FieldProps = SchemaProps & {
  readonly name: string;
  readonly isRequired: boolean;
  readonly depth: number;
};

function Field({ name, schema, schemas, isRequired, depth }: FieldProps) {
  const inner = depth < MAX_DEPTH ? objectIn(schema, schemas) : undefined;
  const description = text(schema.description) || text(resolve(schema, schemas).description);
  return (
    <li>
      <div className="field-head">
        <code className="field-name">{name}</code>
        <span className="field-type">{typeName(schema, schemas)}</span>
        {isRequired ? <span className="field-required">required</span> : null}
      </div>
      {description ? (
        <p>
          <Inline>{description}</Inline>
        </p>
      ) : null}
      {inner ? (
        <details>
          <summary>
            Fields of <code>{name}</code>
          </summary>
          <Fields schema={inner} schemas={schemas} depth={depth + 1} />
        </details>
      ) : null}
    </li>
  );
}

/** In words: `string or null`, `list of User`. */
export function typeName(schema: JsonRecord, schemas: JsonRecord): string {
  const { $ref } = schema;
  if (typeof $ref === 'string') {
    const resolved = resolve(schema, schemas);
    return resolved.anyOf || resolved.allOf ? typeName(resolved, schemas) : refName($ref);
  }
  const choices = listOf(schema.anyOf ?? schema.oneOf);
  if (choices.length > 0) {
    return [...new Set(choices.map((choice) => typeName(choice, schemas)))].join(' or ');
  }
  if (Array.isArray(schema.enum))
    return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === 'array') {
    return `list of ${typeName(isRecord(schema.items) ? schema.items : {}, schemas)}`;
  }
  const type = text(schema.type) || 'any value';
  const bounds = boundsOf(schema);
  return [type, text(schema.format), bounds].filter((part) => part !== '').join(', ');
}

function boundsOf({ minimum, maximum, maxLength, pattern }: JsonRecord): string {
  if (typeof minimum === 'number' && typeof maximum === 'number') return `${minimum} to ${maximum}`;
  if (typeof minimum === 'number') return `at least ${minimum}`;
  if (typeof maximum === 'number') return `at most ${maximum}`;
  if (typeof maxLength === 'number') return `at most ${maxLength} characters`;
  return typeof pattern === 'string' ? `matches ${pattern}` : '';
}

/** The object that a field holds, alone, in a list or beside null. */
function objectIn(schema: JsonRecord, schemas: JsonRecord): JsonRecord | undefined {
  const resolved = resolve(schema, schemas);
  if (isRecord(resolved.properties) && Object.keys(resolved.properties).length > 0) return resolved;
  if (isRecord(resolved.items)) return objectIn(resolved.items, schemas);
  return listOf(resolved.anyOf ?? resolved.oneOf)
    .map((choice) => objectIn(choice, schemas))
    .find((found) => found !== undefined);
}

function resolve(schema: JsonRecord, schemas: JsonRecord): JsonRecord {
  const target = typeof schema.$ref === 'string' ? schemas[refName(schema.$ref)] : schema;
  return isRecord(target) ? target : {};
}

function refName(reference: string): string {
  return reference.split('/').at(-1) ?? '';
}

function listOf(value: unknown): readonly JsonRecord[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
