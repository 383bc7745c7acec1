import { Textarea, type TextareaProps } from '@mantine/core';

export interface LongTextFieldProps extends Omit<TextareaProps, 'onChange'> {
  value: string;
  onChange: (value: string) => void;
}

/** A text of several lines, which grows with what is written. */
export function LongTextField({ onChange, ...rest }: LongTextFieldProps) {
  return (
    <Textarea
      autosize
      minRows={2}
      maxRows={12}
      onChange={(event) => onChange(event.currentTarget.value)}
      {...rest}
    />
  );
}
