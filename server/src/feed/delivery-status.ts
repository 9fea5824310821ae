/** `message.status` and `delivery.status`, in the order of their numbers. */
export const deliveryStatuses = [
  'queued',
  'sent',
  'delivered',
  'delivery_attempted',
  'undelivered',
  'bounced',
  'not_sent',
] as const;

export type DeliveryStatus = (typeof deliveryStatuses)[number];

export function deliveryStatusName(status: number): DeliveryStatus {
  return deliveryStatuses[status] ?? 'queued';
}

export function deliveryStatusNumber(name: DeliveryStatus): number {
  return deliveryStatuses.indexOf(name);
}
