import { Button, Group, Stack, type StackProps } from '@mantine/core';
import type { UseMutationResult } from '@tanstack/react-query';
import { type ReactNode, useEffect, useRef } from 'react';
import { ErrorNotice } from './ErrorNotice';
import { otherError } from './fieldError';

interface FormProps extends Pick<StackProps, 'maw' | 'gap'> {
  /** What sends it. */
  sending: Pick<UseMutationResult<unknown, Error, void>, 'mutate' | 'error' | 'isPending'>;
  /** Parts of the request that have a field, which says what is wrong with them; the rest is told below. */
  fields: readonly string[];
  /** What failed, above an error that belongs to no field. */
  failed?: string;
  children: ReactNode;
  buttons: ReactNode;
}

/** Fields that are sent together. The first that the server refuses gets the keyboard, which brings it into sight. */
export function Form({ sending, fields, failed, children, buttons, ...place }: FormProps) {
  const form = useRef<HTMLFormElement>(null);
  const rest = otherError(sending.error, ...fields);
  useEffect(() => {
    if (sending.error) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [sending.error]);
  return (
    <form
      ref={form}
      onSubmit={(event) => {
        event.preventDefault();
        sending.mutate();
      }}
    >
      <Stack {...place}>
        {children}
        {rest && <ErrorNotice error={rest} title={failed} />}
        {buttons}
      </Stack>
    </form>
  );
}

interface DialogFormProps extends Omit<FormProps, 'buttons'> {
  /** The verb of what it does. */
  confirm: string;
  disabled?: boolean;
  onCancel: () => void;
}

/** A form that is all of a dialog. */
export function DialogForm({ confirm, disabled, onCancel, ...form }: DialogFormProps) {
  const buttons = (
    <Group justify="flex-end">
      <Button variant="default" onClick={onCancel}>
        Cancel
      </Button>
      <Button type="submit" loading={form.sending.isPending} disabled={disabled}>
        {confirm}
      </Button>
    </Group>
  );
  return <Form {...form} buttons={buttons} />;
}
