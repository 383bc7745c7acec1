import { NumberInput, type NumberInputProps } from '@mantine/core';
import { useState } from 'react';
import { numberOf, rangeProblem } from './numberOf';

interface NumberFieldProps extends Omit<NumberInputProps, 'value' | 'defaultValue' | 'onChange'> {
  /** Undefined while it is empty. */
  value: number | undefined;
  onChange: (value: number | undefined) => void;
  min?: number;
  max?: number;
}

/** A number that may be left open. One out of its limits stays as it was typed, and the field says what they are. */
export function NumberField({ value, onChange, error, ...rest }: NumberFieldProps) {
  const [typed, setTyped] = useState<number | string>(value ?? '');
  return (
    <NumberInput
      clampBehavior="none"
      value={numberOf(typed) === value ? typed : (value ?? '')}
      onChange={(next) => {
        setTyped(next);
        onChange(numberOf(next));
      }}
      error={rangeProblem(value, rest.min, rest.max) ?? error}
      {...rest}
    />
  );
}
