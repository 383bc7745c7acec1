import { SimpleGrid } from '@mantine/core';
import { fieldError } from '../components/fieldError';
import { NumberField } from '../components/NumberField';
import { LIMITS, type Limits } from './limits';

interface LimitInputsProps {
  limits: Limits;
  onChange: (limits: Limits) => void;
  error: Error | null;
  /** Where the limits are in the body of the request. */
  path: string;
}

/** What a key or a project may ask; an empty field is the server's default. */
export function LimitInputs({ limits, onChange, error, path }: LimitInputsProps) {
  return (
    <SimpleGrid cols={{ base: 1, sm: 3 }}>
      {LIMITS.map(({ name, label }) => (
        <NumberField
          key={name}
          label={label}
          placeholder="Server default"
          min={1}
          value={limits[name] ?? undefined}
          onChange={(value) => onChange({ ...limits, [name]: value ?? null })}
          error={fieldError(error, `${path}.${name}`)}
        />
      ))}
    </SimpleGrid>
  );
}
