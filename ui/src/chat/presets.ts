/** Schemas to begin with, for what people ask structured answers for most. */

export interface Preset {
  label: string;
  name: string;
  schema: object;
}

export const PRESETS: Preset[] = [
  {
    label: 'Classification',
    name: 'classification',
    schema: {
      type: 'object',
      properties: {
        label: { enum: ['positive', 'neutral', 'negative'] },
        reason: { type: 'string', maxLength: 200 },
      },
      required: ['label', 'reason'],
      additionalProperties: false,
    },
  },
  {
    label: 'Entity extraction',
    name: 'entities',
    schema: {
      type: 'object',
      properties: {
        entities: {
          type: 'array',
          maxItems: 20,
          items: {
            type: 'object',
            properties: {
              text: { type: 'string', maxLength: 100 },
              type: { enum: ['person', 'organization', 'place', 'date', 'other'] },
            },
            required: ['text', 'type'],
            additionalProperties: false,
          },
        },
      },
      required: ['entities'],
      additionalProperties: false,
    },
  },
  {
    label: 'Simple object',
    name: 'answer',
    schema: {
      type: 'object',
      properties: {
        title: { type: 'string', maxLength: 80 },
        year: { type: 'integer', minimum: 0, maximum: 2100 },
        done: { type: 'boolean' },
      },
      required: ['title', 'year', 'done'],
      additionalProperties: false,
    },
  },
];
